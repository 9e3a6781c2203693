import { read } from "./api.js";
import { chart } from "./chart.js";
import { el, one } from "./dom.js";
import { STATES, money, number } from "./format.js";
import { standing } from "./standing.js";
import { t } from "./words.js";

const INTERVAL_MS = 5000;
const DAYS = 30;
const NOTHING = "0.00";
let drawn = "";

function card(title, amounts) {
  return el("section", { class: "card card-body" }, el("h2", { class: "h6" }, title), ...amounts.map((text) => el("div", { class: "figure" }, text)));
}

async function sums() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const { money: all, happened, days } = await read(`/v1/summary?days=${DAYS}&time_zone=${encodeURIComponent(zone)}`);
  const today = (type) => {
    const found = happened.filter((each) => each.type === type);
    return found.length ? found.map(({ amount, currency, events }) => `${money(amount, currency)} (${number(events)})`) : [t("none")];
  };
  const count = (type) => [number(happened.filter((each) => each.type === type).reduce((sum, each) => sum + each.events, 0))];
  const of = (name) => (all.length ? all.map((each) => money(each[name], each.currency)) : [money(NOTHING)]);
  one("#sums").replaceChildren(
    card(t("Available to customers"), of("available")),
    card(t("Held for open orders"), of("held")),
    card(t("Recharges today"), today("recharge.posted")),
    card(t("Deductions today"), today("deduction.posted")),
    card(t("Orders today"), today("order.placed")),
    card(t("Failures today"), count("order.failed")),
  );
  overTime(days);
}

// One picture a currency: amounts of different ones have no common scale.
function overTime(days) {
  if (JSON.stringify(days.map((each) => each.money)) === drawn) return;
  drawn = JSON.stringify(days.map((each) => each.money));
  const currencies = [...new Set(days.flatMap((day) => day.money.map((each) => each.currency)))];
  const texts = (currency, name) => days.map((day) => day.money.find((each) => each.currency === currency)?.[name] ?? NOTHING);
  one("#over-time").replaceChildren(
    ...(currencies.length ? [] : [t("Nothing here.")]),
    ...currencies.map((currency) =>
      chart(`${t("Money over 30 days")}, ${currency}`, days.map((each) => each.date), [{ name: t("Available"), texts: texts(currency, "available") }, { name: t("Held"), texts: texts(currency, "held") }], (amount) => money(amount, currency)),
    ),
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

async function proofs() {
  if (one("#standing")) one("#standing").replaceChildren(standing(await read("/v1/log/status")));
}

async function show() {
  await Promise.allSettled([sums(), perStatus(), models(), proofs()]);
}

await show();
setInterval(() => document.hidden || show(), INTERVAL_MS);
