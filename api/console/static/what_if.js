// What other percentages or prices would have changed: rules, one a line, and what a replay with them comes to.

import { ask, readAll } from "./api.js";
import { all, el, facts, one } from "./dom.js";
import { onSubmit } from "./form.js";
import { money, number } from "./format.js";
import { restorePickers } from "./picker.js";
import { t } from "./words.js";

const BARS_MAX = 12;
const form = one("#what-if"), rules = one("#rules");
const choices = { levels: [], products: [] };

const labelled = (text, input) => el("label", { class: "field" }, el("span", { class: "form-label" }, text), input);
const input = (name, text, more = {}) => labelled(text, el("input", { class: "form-control", type: "text", autocomplete: "off", inputmode: "decimal", "data-name": name, ...more }));

// Whoever may not see what there is types it.
function choice(name, text, options) {
  if (!options.length) return input(name, text, { inputmode: "text" });
  return labelled(text, el("select", { class: "form-select", "data-name": name }, ...options.map(([value, word]) => el("option", { value }, word))));
}

const KINDS = {
  discounts: () => [input("from_percent", t("Orders that paid, in percent"), { list: "percents" }), input("to_percent", t("would have paid"))],
  levels: () => [choice("level_id", t("Orders at the level"), choices.levels), input("discount_percent", t("would have paid"))],
  prices: () => [choice("product", t("Product"), choices.products), input("unit_price", t("Unit price")), input("from_quantity", t("From quantity"), { type: "number", min: "1", inputmode: "numeric" })],
};

function add(kind) {
  const row = el("li", { class: "filters", "data-kind": kind }, ...KINDS[kind](), el("button", { type: "button", class: "btn btn-outline-secondary rule-end", on: { click: () => row.remove() } }, t("Remove")));
  rules.append(row);
  return row;
}

function body() {
  const found = { discounts: [], levels: [], prices: [] };
  for (const row of rules.children) {
    const filled = all("[data-name]", row).map((each) => [each.dataset.name, each.value.trim()]).filter(([, value]) => value !== "");
    found[row.dataset.kind].push(Object.fromEntries(filled.map(([name, value]) => [name, name === "from_quantity" ? Number(value) : value])));
  }
  for (const name of ["from", "to"]) if (form.elements[name].value) found[name] = new Date(form.elements[name].value).toISOString();
  const customer = form.elements.customer_id.value.trim();
  return customer ? { ...found, customer_id: customer } : found;
}

const way = (row, name) => `${money(row[name], row.currency)} → ${money(row[`${name}_if`], row.currency)} (${money(row[`${name}_difference`], row.currency)})`;

function sum(row) {
  const list = el("dl", {});
  facts(list, [
    [t("Orders repriced"), number(row.orders)],
    [t("Held when placed"), way(row, "placed")],
    [t("Captured"), way(row, "captured")],
    [t("Still held"), way(row, "held")],
    [t("Would have been refused"), row.refused ? number(row.refused) : null],
    [t("Short of money"), row.short ? number(row.short) : null],
    [t("First short at"), row.short_position && el("a", { href: `/events/${row.short_position}` }, String(row.short_position))],
  ]);
  return el("section", { class: "card card-body" }, el("h2", { class: "h5" }, row.currency), list);
}

function line(row) {
  const name = el("a", { href: `/customers/${row.customer_id}` }, row.customer_name ?? row.customer_id);
  const amounts = ["captured", "captured_if", "captured_difference", "held", "held_if", "held_difference"].map((each) => money(row[each], row.currency));
  const short = row.short_position ? el("a", { href: `/events/${row.short_position}` }, number(row.short)) : number(row.short);
  return el("tr", {}, el("th", { scope: "row", class: "fw-normal" }, name), ...[number(row.orders), ...amounts, short].map((each) => el("td", { class: "end" }, each)));
}

// Lengths only: the words beside them are the exact texts. Of several currencies only the first is drawn: they have no common length.
function bars(customers) {
  const shown = customers.filter((each) => each.currency === customers[0].currency && Number(each.available_difference) !== 0).slice(0, BARS_MAX);
  const most = Math.max(...shown.map((each) => Math.abs(Number(each.available_difference))));
  one("#picture").hidden = shown.length === 0;
  one("#bars").replaceChildren(...shown.flatMap((each) => {
    const name = each.customer_name ?? each.customer_id;
    return [el("span", {}, name), el("progress", { max: most, value: Math.abs(Number(each.available_difference)), "aria-label": name }), el("span", { class: "end" }, money(each.available_difference, each.currency))];
  }));
}

onSubmit(form, async () => {
  one("#result").hidden = true;
  const found = await ask("POST", "/v1/what-if", body());
  one("#scope").textContent = found.customers_count
    ? t("Orders placed from position {from} to {to}, and what became of them until position {position}.", found)
    : t("No order would have had another price.");
  one("#sums").replaceChildren(...found.sums.map(sum));
  bars(found.customers);
  one("#customers tbody").replaceChildren(...found.customers.map(line));
  one("#customers").hidden = found.customers_count === 0;
  one("#result").hidden = false;
});

async function known() {
  if (form.hasAttribute("data-levels")) {
    const levels = await readAll("/v1/levels?sort=name");
    choices.levels = levels.map((each) => [each.id, `${each.name} · ${each.discount_percent} %`]);
    const percents = new Set(["100", ...levels.map((each) => each.discount_percent)]);
    one("#percents").append(...[...percents].map((value) => el("option", { value })));
  }
  if (form.hasAttribute("data-products")) {
    const products = await readAll("/v1/products?sort=sku");
    choices.products = products.map((each) => [each.sku, `${each.sku} · ${each.name}`]);
  }
}

await Promise.all([known(), restorePickers()]);
for (const button of all("[data-add]")) button.addEventListener("click", () => one("input, select", add(button.dataset.add)).focus());
add("discounts");
