import { read } from "./api.js";
import { download, downloadLines } from "./download.js";
import { el, facts, one, say } from "./dom.js";
import { number, time } from "./format.js";
import { standing } from "./standing.js";
import { t } from "./words.js";

const INTERVAL_MS = 5000;
const LINES_PER_EVENT = { jsonl: 1, csv: 1, beancount: 7 };

async function show() {
  const status = await read("/v1/log/status");
  const { checkpoint, verification } = status;
  one("#standing").replaceChildren(standing(status));
  one("#no-checkpoint").hidden = Boolean(checkpoint);
  one("#checkpoint").hidden = !checkpoint;
  if (checkpoint) {
    facts(one("#facts"), [
      [t("Log"), checkpoint.origin],
      [t("Events"), number(checkpoint.size)],
      [t("Root"), el("code", {}, checkpoint.root)],
      [t("Signed"), time(checkpoint.sealed_at)],
    ]);
    one("#note").textContent = checkpoint.note;
  }
  facts(one("#verification"), verification && [
    [t("Finished"), time(verification.finished_at)],
    [t("Events"), number(verification.events)],
    [t("First bad position"), verification.first_bad_position && el("a", { href: `/events/${verification.first_bad_position}` }, String(verification.first_bad_position))],
    [t("Finding"), verification.finding],
    [t("Seconds"), number(verification.seconds)],
  ] || []);
}

one("#download").addEventListener("click", () => download("/v1/log/checkpoint", "checkpoint"));
one("#proof").addEventListener("submit", (event) => {
  event.preventDefault();
  const position = one("#proof").elements.position.value;
  if (position) download(`/v1/log/proof/${encodeURIComponent(position)}`, `event-${position}.tlog-proof`);
});

const exporting = one("#export");
exporting.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { format, from, to } = exporting.elements;
  const asked = new URLSearchParams({ format: format.value, ...(from.value && { from: from.value }), ...(to.value && { to: to.value }) });
  const bar = one("#exported"), button = one("button", exporting);
  const first = Number(from.value || 1);
  button.disabled = true;
  bar.hidden = false;
  bar.removeAttribute("value");
  try {
    await downloadLines(`/v1/log/export?${asked}`, `log.${format.value}`, (lines, head) => {
      // Only about: some formats have more lines than events, some less.
      bar.max = Number(to.value || head) - first + 1;
      bar.value = Math.min(lines / LINES_PER_EVENT[format.value], bar.max);
    });
    say(t("The export is saved."));
  } catch (problem) {
    say(problem.document ? problem.errors.map((each) => each.detail).join("; ") || problem.message : t("The export broke off and was not saved: try again."), "danger");
  }
  button.disabled = false;
  bar.hidden = true;
});

try {
  await show();
  setInterval(() => document.hidden || show().catch(() => {}), INTERVAL_MS);
} catch (problem) {
  say(problem.message, "danger");
}
