// A role's menu: entries and groups of them, moved by buttons, so that a keyboard does it as well as a mouse.

import { ask, read } from "./api.js";
import { el, one, say } from "./dom.js";
import { complain, clear } from "./form.js";
import { t } from "./words.js";

const form = one("#menu-editor"), { id } = form.dataset;
const isEditable = form.hasAttribute("data-editable");
let menu, tree;

async function load() {
  menu = await read(`/v1/roles/${id}/menu`);
  tree = menu.menu;
  one("#whose").textContent = menu.is_default ? t("{role}: the default menu", { role: menu.role }) : t("{role}: a menu of its own", { role: menu.role });
  draw();
}

const isGroup = (entry) => entry.path === null;

function draw(focus = null) {
  one("#entries").replaceChildren(...tree.map((entry, index) => item(entry, tree, index, null)));
  if (focus) one(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
}

function item(entry, siblings, index, group) {
  const name = entry.label.en;
  const button = (word, label, act, isOff, focus) => el("button", { type: "button", class: "btn btn-sm btn-outline-secondary", "aria-label": `${label}: ${name}`, title: label, disabled: isOff || !isEditable, "data-focus": focus, on: { click: act } }, word);
  const text = (language, label) => el("input", { class: "form-control form-control-sm", "aria-label": `${label}: ${entry.key}`, value: entry.label[language] ?? "", maxlength: "40", disabled: !isEditable, on: { input: ({ target }) => { entry.label[language] = target.value; } } });
  const hide = el("input", { type: "checkbox", class: "form-check-input", "aria-label": `${t("Hidden")}: ${name}`, disabled: !isEditable, on: { change: ({ target }) => { entry.hidden = target.checked; } } });
  hide.checked = entry.hidden;
  const groups = tree.filter((each) => isGroup(each));
  const where = isGroup(entry) ? el("span", { class: "badge text-bg-secondary" }, t("group")) : el("select", { class: "form-select form-select-sm", "aria-label": `${t("Group")}: ${name}`, disabled: !isEditable, on: { change: ({ target }) => move(entry, siblings, target.value) } },
    el("option", { value: "" }, t("no group")), ...groups.map((each) => el("option", { value: each.key, selected: each === group }, each.label.en)));
  const row = el("div", { class: "entry" },
    el("span", { class: "moves" }, button("↑", t("Up"), () => swap(siblings, index, -1, entry), index === 0, `${entry.key}-up`), button("↓", t("Down"), () => swap(siblings, index, 1, entry), index === siblings.length - 1, `${entry.key}-down`)),
    text("en", t("English name")), text("zh", t("Chinese name")), where,
    el("label", { class: "hide" }, hide, ` ${t("Hidden")}`),
    entry.for_customers ? el("span", { class: "badge text-bg-info" }, t("for customers")) : isGroup(entry) && !entry.children.length && isEditable ? button("×", t("Delete"), () => { tree.splice(tree.indexOf(entry), 1); draw(); }, false) : el("span", {}));
  return el("li", {}, row, isGroup(entry) ? el("ol", { class: "entries" }, ...entry.children.map((each, at) => item(each, entry.children, at, entry))) : null);
}

function swap(siblings, index, by, entry) {
  [siblings[index], siblings[index + by]] = [siblings[index + by], siblings[index]];
  draw(`${entry.key}-${by < 0 ? "up" : "down"}`);
}

function move(entry, siblings, key) {
  siblings.splice(siblings.indexOf(entry), 1);
  (tree.find((each) => isGroup(each) && each.key === key)?.children ?? tree).push(entry);
  draw(`${entry.key}-up`);
}

// What is called as it is by default is not stored: it changes with the default.
function stored(entry) {
  const label = Object.fromEntries(Object.entries(entry.label).filter(([language, text]) => text.trim() && text !== entry.default_label[language]).map(([language, text]) => [language, text.trim()]));
  return {
    key: entry.key,
    ...(Object.keys(label).length ? { label } : {}),
    ...(entry.hidden ? { hidden: true } : {}),
    ...(isGroup(entry) ? { children: entry.children.map(stored) } : {}),
  };
}

async function save(content) {
  clear(form);
  try {
    await ask("PATCH", `/v1/roles/${id}`, { menu: content }, { "If-Match": `"${menu.revision}"` });
    await load();
    say(t("Saved."));
  } catch (problem) {
    complain(form, problem);
  }
}

if (isEditable) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save(tree.map(stored));
  });
  one("#default").addEventListener("click", () => save(null));
  one("#new-group").addEventListener("click", () => {
    let number = 1;
    while (tree.some((each) => each.key === `group-${number}`)) number += 1;
    tree.push({ key: `group-${number}`, path: null, label: { en: `Group ${number}`, zh: `分组 ${number}` }, default_label: {}, hidden: false, children: [] });
    draw();
  });
}

await load().catch((problem) => say(problem.message, "danger"));
