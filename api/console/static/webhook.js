// One subscription: its state, what people may do about it, and what became of its last messages.

import { ask, read } from "./api.js";
import { all, el, facts, one, say } from "./dom.js";
import { onSubmit, open } from "./form.js";
import { EVENTS, number, state, time } from "./format.js";
import { lists, loadLists } from "./list.js";
import { t } from "./words.js";

const { id } = one("#webhook").dataset;
const path = `/v1/webhooks/${id}`;
const REASONS = { gone: t("the receiver says that it is gone"), "failed-too-long": t("it failed for too long") };
const INTERVAL_MS = 3000;
let webhook;

async function show() {
  webhook = await read(path);
  one("#url").textContent = webhook.url;
  one("#state").replaceChildren(state(webhook.state));
  facts(one("#facts"), [
    [t("Description"), webhook.description],
    [t("Customer"), webhook.customer_id && el("a", { href: `/customers/${webhook.customer_id}` }, webhook.customer_id)],
    [t("Events"), webhook.event_types.map((each) => EVENTS[each] ?? each).join(", ") || t("all")],
    [t("Position"), number(webhook.position)],
    [t("Events behind"), number(webhook.lag_events)],
    [t("Last delivered"), time(webhook.last_delivered_at)],
    [t("Failures in a row"), webhook.failures ? number(webhook.failures) : ""],
    [t("Failing since"), time(webhook.failing_since)],
    [t("Last result"), webhook.failures ? webhook.last_code : ""],
    [t("Next try"), time(webhook.next_try_at)],
    [t("Disabled"), webhook.disabled_at && `${time(webhook.disabled_at)} · ${REASONS[webhook.disabled_reason] ?? webhook.disabled_reason}`],
    [t("The secret before signs until"), time(webhook.previous_secret_until)],
    [t("Id"), el("code", {}, webhook.id)],
  ]);
  if (one("#enable")) {
    one("#enable").hidden = webhook.active && webhook.disabled_at === null;
    one("#pause").hidden = !webhook.active;
  }
}

async function reload() {
  await Promise.all([show(), ...lists.map((list) => list.load())]);
}

// Does something and says what came of it.
function on(selector, act) {
  one(selector)?.addEventListener("click", async () => {
    try {
      const said = await act();
      await reload();
      if (said) say(said);
    } catch (problem) {
      say(problem.message, "danger");
    }
  });
}

on("#test", async () => {
  await ask("POST", `${path}/test`, {});
  return t("The ping is on its way; it appears among the deliveries.");
});
on("#enable", async () => {
  await ask("POST", `${path}/enable`, {});
  return t("Saved.");
});
on("#pause", async () => {
  await ask("PATCH", path, { active: false });
  return t("Saved.");
});
on("#rotate", async () => {
  if (!confirm(t("Make a new secret?"))) return null;
  const { secret } = await ask("POST", `${path}/secret`, {});
  const shown = open("secret");
  one("#secret-text").textContent = secret;
  const forget = (event) => {
    event.preventDefault();
    one("#secret-text").textContent = "";
    shown.close();
  };
  one("form", shown).addEventListener("submit", forget, { once: true });
  return null;
});

for (const button of all("[data-open]")) {
  button.addEventListener("click", () => open(button.dataset.open, { from_position: webhook.position + 1 }));
}

onSubmit(one("#replay form"), async (content) => {
  await ask("POST", `${path}/replay`, content);
  one("#replay").close();
  await reload();
  say(t("It goes on from there."));
});

await show().catch((problem) => say(problem.message, "danger"));
await loadLists();
setInterval(() => document.hidden || show().catch(() => {}), INTERVAL_MS);
