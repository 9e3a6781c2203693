import { read } from "./api.js";
import { el, facts, one, say } from "./dom.js";
import { EVENTS, money, short, time } from "./format.js";
import { restorePickers } from "./picker.js";
import { t } from "./words.js";

const form = one("#span");
// Whose it is: the page's customer, or, on the staff's own page, the one that was found.
const whose = () => one("#statement").dataset.customer || form.elements.customer_id.value.trim();
let asked = 0;

// A day has 24 hours only where no clock is changed. Times in the log have microseconds.
const begin = (day) => new Date(`${day}T00:00`);
function end(day) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(new Date(year, month - 1, date + 1) - 1).toISOString().replace("Z", "999Z");
}

function query() {
  const found = new URLSearchParams();
  const { from, to } = form.elements;
  if (from.value) found.set("from", begin(from.value).toISOString());
  if (to.value) found.set("to", end(to.value));
  return found;
}

function line(each, currency) {
  const amount = (text) => el("td", { class: "end" }, text === undefined ? "" : money(text, currency));
  return el("tr", {},
    el("th", { scope: "row", class: "fw-normal time" }, time(each.recorded_at)), el("td", {}, EVENTS[each.type] ?? each.type),
    el("td", {}, each.order_id ? el("a", { href: `/orders/${each.order_id}` }, short(each.order_id)) : ""), el("td", {}, each.reference ?? ""),
    amount(each.change), amount(each.available), amount(each.held), amount(each.total));
}

function clear() {
  one("#facts").replaceChildren();
  one("#lines tbody").replaceChildren();
}

async function show() {
  const mine = (asked += 1);
  const span = query(), customer = whose();
  const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value)).toString();
  history.replaceState(null, "", chosen ? `?${chosen}` : location.pathname);
  if (!customer) {
    one("#csv").removeAttribute("href");
    return clear();
  }
  one("#csv").href = `/v1/customers/${customer}/statement?${new URLSearchParams([...span, ["format", "csv"]])}`;
  try {
    const found = await read(`/v1/customers/${customer}/statement?${span}`);
    // Meanwhile another may have been chosen.
    if (mine !== asked) return;
    say("");
    facts(one("#facts"), [
      [t("From"), form.elements.from.value || t("the beginning")],
      [t("To"), time(found.to)],
      [t("Opening balance"), money(found.opening, found.currency)],
      [t("Closing balance"), money(found.closing, found.currency)],
    ]);
    one("#lines tbody").replaceChildren(...found.lines.map((each) => line(each, found.currency)));
  } catch (problem) {
    if (mine !== asked) return;
    clear();
    say(problem.message, "danger");
  }
}

for (const [name, value] of new URLSearchParams(location.search)) if (form.elements[name]) form.elements[name].value = value;
form.addEventListener("change", show);
form.addEventListener("submit", (event) => event.preventDefault());
one("#print").addEventListener("click", () => print());
await restorePickers();
await show();
