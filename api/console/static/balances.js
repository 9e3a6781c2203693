import { read } from "./api.js";
import { chart } from "./chart.js";
import { el, facts, one, say } from "./dom.js";
import { money, time } from "./format.js";
import { restorePickers } from "./picker.js";
import { t } from "./words.js";

const STEPS = 1000;
const CURVE_POINTS_MAX = 500;
const SLIDING_MS = 120;
const form = one("#when"), slider = one("#slider"), moment = form.elements.as_of;
let from = 0, to = 0, opened = 0, asked = 0, timer;

const customer = () => form.elements.customer_id.value.trim();
const local = (at) => new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);

// The account's own time: from its first event until now, with its curve.
async function open() {
  const mine = (opened += 1);
  // What was asked about another account is late.
  asked += 1;
  clearTimeout(timer);
  one("#slider-card").hidden = true;
  one("#balance").replaceChildren();
  one("#moment").textContent = "";
  history.replaceState(null, "", customer() ? `?customer_id=${encodeURIComponent(customer())}` : location.pathname);
  if (!customer()) return;
  try {
    const found = await read(`/v1/customers/${customer()}/statement`);
    if (mine !== opened) return;
    say("");
    to = Date.now();
    from = found.lines.length ? Date.parse(found.lines[0].recorded_at) - 1 : to - 1;
    one("#begins").textContent = time(new Date(from).toISOString());
    one("#ends").textContent = time(new Date(to).toISOString());
    // Of a long history the curve shows so many moments, evenly taken; the slider reaches all of them.
    const every = Math.max(1, Math.ceil(found.lines.length / CURVE_POINTS_MAX));
    const lines = found.lines.filter((_, index) => index % every === 0 || index === found.lines.length - 1);
    const zero = { available: "0", held: "0", recorded_at: new Date(from).toISOString() };
    const points = [zero, ...lines, { ...(lines.at(-1) ?? zero), recorded_at: new Date(to).toISOString() }];
    one("#curve").replaceChildren(
      chart(t("Past balances"), points.map((each) => time(each.recorded_at)), [{ name: t("Available"), texts: points.map((each) => each.available) }, { name: t("Held"), texts: points.map((each) => each.held) }], (amount) => money(amount, found.currency), { step: true, times: points.map((each) => Date.parse(each.recorded_at)) }),
    );
    one("#slider-card").hidden = false;
    await show(moment.value ? new Date(moment.value).getTime() : to);
  } catch (problem) {
    if (mine === opened) say(problem.message, "danger");
  }
}

async function show(at) {
  const mine = (asked += 1);
  slider.value = Math.round((STEPS * (at - from)) / Math.max(1, to - from));
  slider.setAttribute("aria-valuetext", time(new Date(at).toISOString()));
  try {
    const balance = await read(`/v1/customers/${customer()}/balance?as_of=${encodeURIComponent(new Date(at).toISOString())}`);
    if (mine !== asked) return;
    one("#moment").textContent = time(new Date(at).toISOString());
    facts(one("#balance"), [
      [t("Available"), money(balance.available, balance.currency)],
      [t("Held"), money(balance.held, balance.currency)],
      [t("Total"), money(balance.total, balance.currency)],
      [t("After the event at"), el("a", { href: `/events/${balance.position}` }, String(balance.position))],
      [t("Version"), String(balance.version)],
    ]);
  } catch (problem) {
    if (mine !== asked) return;
    one("#moment").textContent = time(new Date(at).toISOString());
    one("#balance").replaceChildren(el("dd", {}, problem.document?.status === 404 ? t("The account was not open then.") : problem.message));
  }
}

slider.addEventListener("input", () => {
  const at = from + ((to - from) * slider.value) / STEPS;
  moment.value = local(at);
  clearTimeout(timer);
  timer = setTimeout(() => show(at), SLIDING_MS);
});
moment.addEventListener("change", () => moment.value && customer() && show(new Date(moment.value).getTime()));
form.elements.customer_id.addEventListener("change", open);
form.addEventListener("submit", (event) => event.preventDefault());
await restorePickers();
await open();
