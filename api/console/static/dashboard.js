import { read } from "./api.js";
import { el, one } from "./dom.js";
import { STATES, money, number } from "./format.js";
import { t } from "./words.js";

const INTERVAL_MS = 5000;

function card(title, amounts) {
  return el("section", { class: "card card-body" }, el("h2", { class: "h6" }, title), ...amounts.map((text) => el("div", { class: "figure" }, text)));
}

async function sums() {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const { money: all, happened } = await read(`/v1/summary?since=${encodeURIComponent(midnight.toISOString())}`);
  const today = (type) => {
    const found = happened.filter((each) => each.type === type);
    return found.length ? found.map(({ amount, currency, events }) => `${money(amount, currency)} (${number(events)})`) : [t("none")];
  };
  const count = (type) => [number(happened.filter((each) => each.type === type).reduce((sum, each) => sum + each.events, 0))];
  const of = (name) => (all.length ? all.map((each) => money(each[name], each.currency)) : [money("0.00")]);
  one("#sums").replaceChildren(
    card(t("Available to customers"), of("available")),
    card(t("Held for open orders"), of("held")),
    card(t("Recharges today"), today("recharge.posted")),
    card(t("Deductions today"), today("deduction.posted")),
    card(t("Orders today"), today("order.placed")),
    card(t("Failures today"), count("order.failed")),
  );
}

async function perStatus() {
  const box = one("#per-status");
  if (!box) return;
  const { counts } = await read("/v1/orders?counts=true&limit=1");
  const most = Math.max(1, ...Object.values(counts).map((each) => each.orders));
  box.replaceChildren(
    el("div", { class: "bars" }, ...Object.entries(counts).flatMap(([status, { orders }]) => [
      el("a", { href: `/orders?status=${status}` }, STATES[status][0]),
      el("progress", { max: most, value: orders, "aria-label": STATES[status][0] }),
      el("span", {}, number(orders)),
    ])),
  );
}

async function models() {
  const { projections, head } = await read("/readyz");
  const words = { current: t("current"), behind: t("behind"), stopped: t("stopped"), missing: t("missing") };
  one("#models").replaceChildren(
    el("p", {}, t("The log has {count} events.", { count: number(head) })),
    el("ul", {}, ...projections.map((each) => el("li", {}, `${each.name}: ${words[each.state] ?? each.state}`, each.lag_events ? ` (${t("{count} events behind", { count: number(each.lag_events) })})` : ""))),
  );
}

async function show() {
  await Promise.allSettled([sums(), perStatus(), models()]);
}

await show();
setInterval(() => document.hidden || show(), INTERVAL_MS);
