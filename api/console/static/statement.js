import { read } from "./api.js";
import { el, facts, one, say } from "./dom.js";
import { EVENTS, money, short, time } from "./format.js";
import { restorePickers } from "./picker.js";
import { t } from "./words.js";

const form = one("#span");
// Whose it is: the page's customer, or, on the staff's own page, the one that was found.
const whose = () => one("#statement").dataset.customer || form.elements.customer_id.value.trim();
const DAY_MS = 86_400_000;

function query() {
  const found = new URLSearchParams();
  const { from, to } = form.elements;
  if (from.value) found.set("from", new Date(`${from.value}T00:00`).toISOString());
  // The day itself is part of it, to its last millisecond.
  if (to.value) found.set("to", new Date(new Date(`${to.value}T00:00`).getTime() + DAY_MS - 1).toISOString());
  return found;
}

function line(each, currency) {
  const amount = (text) => el("td", { class: "end" }, text === undefined ? "" : money(text, currency));
  return el("tr", {},
    el("th", { scope: "row", class: "fw-normal time" }, time(each.recorded_at)), el("td", {}, EVENTS[each.type] ?? each.type),
    el("td", {}, each.order_id ? el("a", { href: `/orders/${each.order_id}` }, short(each.order_id)) : ""), el("td", {}, each.reference ?? ""),
    amount(each.change), amount(each.available), amount(each.held), amount(each.total));
}

async function show() {
  const asked = query(), customer = whose();
  if (!customer) return;
  history.replaceState(null, "", `?${new URLSearchParams([...new FormData(form)].filter(([, value]) => value))}`);
  one("#csv").href = `/v1/customers/${customer}/statement?${new URLSearchParams([...asked, ["format", "csv"]])}`;
  try {
    const found = await read(`/v1/customers/${customer}/statement?${asked}`);
    say("");
    facts(one("#facts"), [
      [t("From"), form.elements.from.value || t("the beginning")],
      [t("To"), time(found.to)],
      [t("Opening balance"), money(found.opening, found.currency)],
      [t("Closing balance"), money(found.closing, found.currency)],
    ]);
    one("#lines tbody").replaceChildren(...found.lines.map((each) => line(each, found.currency)));
  } catch (problem) {
    say(problem.message, "danger");
  }
}

for (const [name, value] of new URLSearchParams(location.search)) if (form.elements[name]) form.elements[name].value = value;
form.addEventListener("change", show);
form.addEventListener("submit", (event) => event.preventDefault());
one("#print").addEventListener("click", () => print());
await restorePickers();
await show();
