// Lists: what the API answers at the section's path, filtered by its form, page by page; the filters stand in the address.

import { Problem, ask, read } from "./api.js";
import { all, el, one, say } from "./dom.js";
import { UNCHOSEN, fillSelects, isUnchosen } from "./form.js";
import { restorePickers } from "./picker.js";
import { RIGHT, STATES, number, shown } from "./format.js";
import { t } from "./words.js";

const TYPING_MS = 300;
const CURSORS = { "/v1/events": "after" };

const at = (row, path) => path.split(".").reduce((value, name) => value?.[name], row);
const into = (template, row) => template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(row[name] ?? ""));

export class List {
  constructor(section) {
    this.section = section;
    this.path = section.dataset.list;
    this.form = one("[data-filters]", section);
    this.table = one("table", section);
    this.body = one("tbody", section);
    this.columns = all("th[data-field]", section).map((heading) => ({ ...heading.dataset, heading }));
    for (const { kind, heading } of this.columns) if (RIGHT.has(kind)) heading.classList.add("end");
    this.rowActions = [];
    this.more = one("[data-more]", section);
    this.more.addEventListener("click", () => this.load(false));
    this.asked = 0;
    // How many were asked for.
    this.pages = 1;
    if (this.form) this.follow();
  }

  follow() {
    let timer;
    const typed = () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.changed(), TYPING_MS);
    };
    // On its way down: a picker keeps what is typed in it to itself.
    this.form.addEventListener("input", typed, { capture: true });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.changed();
    });
  }

  restore() {
    const given = new URLSearchParams(location.search);
    for (const input of this.form?.elements ?? []) if (input.name && given.has(input.name)) input.value = fromAddress(input, given.get(input.name));
  }

  changed() {
    const filters = this.filters().toString();
    history.replaceState(null, "", filters ? `?${filters}` : location.pathname);
    this.linkExports();
    this.load();
  }

  // What is exported is what is searched for.
  linkExports() {
    for (const link of all("[data-export]", this.section)) link.href = `${link.dataset.export}&${this.filters()}`;
  }

  filters() {
    const found = new URLSearchParams();
    for (const input of this.form?.elements ?? []) {
      const value = input.name ? input.value.trim() : "";
      if (value && !(input.tagName === "SELECT" && input.name === "sort" && input.selectedIndex === 0)) {
        found.set(input.name, input.type === "datetime-local" ? new Date(value).toISOString() : value);
      }
    }
    return found;
  }

  // What stood there was of others, or of everybody.
  empty() {
    this.body.replaceChildren();
    this.more.hidden = true;
    one("[data-empty]", this.section).hidden = true;
    say(UNCHOSEN, "danger");
  }

  async load(anew = true) {
    const asked = (this.asked += 1);
    if ([...(this.form?.elements ?? [])].some(isUnchosen)) return this.empty();
    this.pages = anew ? 1 : this.pages + 1;
    const [path, fixed] = this.path.split("?");
    const query = new URLSearchParams(fixed);
    for (const [name, value] of this.filters()) query.set(name, value);
    if (this.section.hasAttribute("data-counts") && anew) query.set("counts", "true");
    if (!anew) query.set(CURSORS[path] ?? "cursor", this.next);
    let found;
    this.section.setAttribute("aria-busy", "true");
    try {
      found = await read(`${path}?${query}`);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (asked !== this.asked) return;
      if (!anew) this.pages -= 1;
      say(problem.errors.map((each) => each.detail).join("; ") || problem.message, "danger");
      return;
    } finally {
      this.section.removeAttribute("aria-busy");
    }
    // An answer to what was typed before is late.
    if (asked !== this.asked) return;
    say("");
    if (anew) this.body.replaceChildren();
    this.body.append(...found.data.map((row) => this.row(row)));
    this.next = found.next;
    this.more.hidden = found.next === null;
    one("[data-empty]", this.section).hidden = this.body.children.length > 0;
    if (found.counts) this.tabs(found.counts);
  }

  // Loads it once it reflects the position, or as it is when that takes longer than the service waits.
  async loadAt(position) {
    await ask("GET", `${this.path.split("?")[0]}?limit=1`, null, { "Ledger-Min-Position": String(position) }).catch(() => {});
    await this.load();
  }

  row(row) {
    const cells = this.columns.map(({ field, kind, href, of }, index) => {
      const value = at(row, field);
      let content = kind === "choice" ? this.choice(of, value) : shown(value, kind === "link" ? undefined : kind, row);
      const target = kind === "link" ? this.section.dataset.row : href;
      if (target && value) content = el("a", { href: into(target, row) }, content);
      const classes = RIGHT.has(kind) ? "end" : kind === "time" || kind === "short" ? kind : "";
      return index === 0 ? el("th", { scope: "row", class: `fw-normal ${classes}` }, content) : el("td", { class: classes }, content);
    });
    const actions = this.rowActions.filter((each) => each.isFor(row)).map(({ word, act, colour }) => el("button", { type: "button", class: `btn btn-sm btn-outline-${colour} me-1`, "aria-label": `${word}: ${at(row, this.columns[0].field)}`, on: { click: () => act(row) } }, word));
    return el("tr", {}, ...cells, this.rowActions.length ? el("td", { class: "row-actions" }, ...actions) : null);
  }

  // The word of a filter's choice, such as a level's name.
  choice(name, value) {
    return [...(this.form.elements[name]?.options ?? [])].find((each) => each.value === value && value)?.text ?? "";
  }

  addAction(word, act, { colour = "primary", isFor = () => true } = {}) {
    if (!this.rowActions.length) one("thead tr", this.table).append(el("td", {}, el("span", { class: "visually-hidden" }, t("Actions"))));
    this.rowActions.push({ word, act, colour, isFor });
  }

  tabs(counts) {
    const input = this.form.elements.status;
    const chosen = input.value;
    const tab = (value, word, count) =>
      el("button", { type: "button", class: `btn btn-sm ${value === chosen ? "btn-primary" : "btn-outline-primary"}`, "aria-pressed": String(value === chosen), on: { click: () => { input.value = value; this.changed(); } } }, count === undefined ? word : `${word} ${count}`);
    if (chosen && this.known) counts = { ...this.known, ...counts };
    else this.known = counts;
    const shownCounts = Object.entries(counts).map(([name, { orders, exact }]) => tab(name, STATES[name]?.[0] ?? name, `${number(orders)}${exact ? "" : "+"}`));
    one("[data-tabs]", this.section).replaceChildren(tab("", t("all")), ...shownCounts);
  }
}

function fromAddress(input, value) {
  if (input.type !== "datetime-local") return value;
  const moment = new Date(value);
  return Number.isNaN(moment.getTime()) ? "" : new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

export const lists = all("[data-list]").map((section) => new List(section));

export async function loadLists() {
  await fillSelects();
  // Selects can hold what the address says once their choices are there.
  for (const list of lists) list.restore();
  await restorePickers();
  for (const list of lists) list.linkExports();
  await Promise.all(lists.map((list) => list.load()));
}

if (document.querySelector('script[src="/console/list.js"]')) await loadLists();
