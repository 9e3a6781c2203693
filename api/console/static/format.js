// How values look. Amounts are exact texts: they are grouped, never counted with.

import { el } from "./dom.js";
import { language, t } from "./words.js";

const moments = new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en", { dateStyle: "medium", timeStyle: "medium" });
const numbers = new Intl.NumberFormat(language === "zh" ? "zh-CN" : "en");

export const STATES = {
  placed: [t("placed"), "info"],
  executing: [t("executing"), "primary"],
  completed: [t("completed"), "success"],
  failed: [t("failed"), "danger"],
  cancelled: [t("cancelled"), "secondary"],
  needs_review: [t("needs review"), "warning"],
  active: [t("active"), "success"],
  suspended: [t("suspended"), "warning"],
  deactivated: [t("deactivated"), "secondary"],
  delivering: [t("delivering"), "success"],
  failing: [t("failing"), "warning"],
  paused: [t("paused"), "secondary"],
  disabled: [t("disabled"), "danger"],
};

export const EVENTS = {
  "account.opened": t("account opened"),
  "account.level_changed": t("level changed"),
  "account.suspended": t("account suspended"),
  "account.reactivated": t("account reactivated"),
  "account.credit_limit_changed": t("credit limit changed"),
  "recharge.posted": t("recharge"),
  "deduction.posted": t("deduction"),
  "transaction.reversed": t("reversal"),
  "order.placed": t("order placed"),
  "order.started": t("execution started"),
  "order.completed": t("order completed"),
  "order.failed": t("order failed"),
  "order.cancelled": t("order cancelled"),
  "order.parked": t("left to a person"),
  "order.resolved": t("decided by a person"),
  "customer.erased": t("personal data erased"),
  "balance.low": t("balance low"),
  ping: t("ping"),
};

export function money(amount, currency = document.documentElement.dataset.currency) {
  const [whole, decimals] = amount.split(".");
  const sign = whole.startsWith("-") ? "−" : "";
  const grouped = whole.replace("-", "").replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return `${sign}${grouped}${decimals ? `.${decimals}` : ""} ${currency}`;
}

// An amount in minor units, as the log has it, of a currency with so many decimals. Browsers have other numbers of them.
export function minor(amount, currency, decimals) {
  const digits = String(Math.abs(amount)).padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  return money(`${amount < 0 ? "-" : ""}${whole}${decimals ? `.${digits.slice(-decimals)}` : ""}`, currency);
}

export const time = (text) => (text ? moments.format(new Date(text)) : "");
export const number = (value) => (value === null || value === undefined ? "" : numbers.format(value));
export const short = (id) => (id && id.length > 16 ? `…${id.slice(-8)}` : id);

export function state(name) {
  const [word, colour] = STATES[name] ?? [name, "secondary"];
  return el("span", { class: `badge text-bg-${colour}` }, word);
}

const KINDS = {
  money: (value, row) => money(value, row.currency),
  price: (value, row) => `${value} ${row.currency}`,
  percent: (value) => `${value} %`,
  time,
  number,
  state,
  short: (value) => el("span", { title: value }, short(value)),
  event: (value) => EVENTS[value] ?? value,
  flag: (value) => (value ? t("yes") : t("no")),
  words: (value) => value.join(", "),
  types: (value) => (value.length ? value.map((each) => EVENTS[each] ?? each).join(", ") : t("all")),
  tiers: (value) => value.map((each) => `≥ ${number(each.from_quantity)}: ${each.unit_price}`).join(", "),
};

export const RIGHT = new Set(["money", "price", "percent", "number"]);

export function shown(value, kind, row) {
  if (value === null || value === undefined) return "";
  return kind in KINDS ? KINDS[kind](value, row) : String(value);
}
