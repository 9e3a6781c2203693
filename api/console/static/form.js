// Forms: what was typed as the API wants it, and what is wrong beside the field that it is about.

import { Problem, readAll } from "./api.js";
import { all, el, one } from "./dom.js";
import { t } from "./words.js";

export const UNCHOSEN = t("Choose a customer from the list.");
const LINES = {
  tiers: (text) => text.split("\n").map((line) => line.trim().split(/\s+/)).filter(([first]) => first).map(([quantity, price]) => ({ from_quantity: Number(quantity), unit_price: price ?? "" })),
};

export function contents(form) {
  const found = {};
  for (const input of form.elements) {
    if (!input.name || input.disabled) continue;
    // What the browser cannot read, such as half a number, has no value either.
    if (input.validity.badInput) throw wrong(input, t("This cannot be read."));
    if (isUnchosen(input)) throw wrong(input, UNCHOSEN);
    if (input.type === "checkbox" && input.hasAttribute("value")) {
      found[input.name] ??= [];
      if (input.checked) found[input.name].push(input.value);
    } else if (input.type === "checkbox") found[input.name] = input.checked;
    else if (input.name in LINES) found[input.name] = LINES[input.name](input.value);
    else if (input.name === "executor_settings") {
      if (input.value.trim()) found[input.name] = parsed(input);
    } else if (input.value.trim() === "") continue;
    else if (input.type === "number") found[input.name] = Number(input.value);
    else found[input.name] = input.type === "password" ? input.value : input.value.trim();
  }
  return found;
}

function parsed(input) {
  try {
    return JSON.parse(input.value);
  } catch {
    throw wrong(input, t("This is not JSON."));
  }
}

const wrong = (input, detail) => new Problem({ detail, errors: [{ pointer: `/${input.name}`, detail }] });

// Whom one typed and did not choose is nobody; left out it would mean everybody.
export function isUnchosen(input) {
  const picker = input.closest("[data-picker]");
  return picker !== null && !input.value && one("[role=combobox]", picker).value.trim() !== "";
}

export function fill(form, row) {
  for (const input of form.elements) {
    if (!input.name) continue;
    const value = row[input.name];
    if (input.type === "checkbox" && input.hasAttribute("value")) input.checked = (value ?? []).includes(input.value);
    else if (input.type === "checkbox") input.checked = value ?? input.defaultChecked;
    else if (input.name === "tiers") input.value = (value ?? []).map((each) => `${each.from_quantity} ${each.unit_price}`).join("\n");
    else if (input.name === "executor_settings") input.value = value && Object.keys(value).length ? JSON.stringify(value) : "";
    else {
      // The default of what is hidden is what it was last.
      const text = value ?? (row.id || input.type === "hidden" ? "" : input.defaultValue ?? "");
      if (input.tagName === "SELECT") offer(input, text);
      input.value = text;
    }
  }
}

// What a select has no choice for, such as a level that one may not see, becomes one: it is sent as it was.
function offer(select, value) {
  one("[data-offered]", select)?.remove();
  if (value && ![...select.options].some((each) => each.value === value)) select.append(el("option", { value, "data-offered": true }, value));
}

export function clear(form) {
  for (const box of all(".wrong", form)) box.textContent = "";
  for (const input of form.elements) input.removeAttribute?.("aria-invalid");
}

export function complain(form, problem) {
  if (!(problem instanceof Problem)) throw problem;
  let placed = 0;
  for (const { pointer, detail } of problem.errors) {
    const name = (pointer ?? "").split("/")[1];
    const box = name && one(`[data-wrong="${CSS.escape(name)}"]`, form);
    if (!box) continue;
    box.textContent = ` ${detail}`;
    form.elements[name]?.setAttribute?.("aria-invalid", "true");
    placed += 1;
  }
  const rest = problem.errors.slice(placed).map((each) => each.detail).join("; ");
  one("[data-problem]", form).textContent = placed === 0 ? rest || problem.message : "";
  if (placed) one("[aria-invalid=true]", form)?.focus();
}

// Sends a form by `send(contents)`; a second press while the first is on its way does nothing.
export function onSubmit(form, send) {
  const button = one("[type=submit]", form);
  // Browsers come back to a page as it was left.
  button.disabled = false;
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) button.disabled = false;
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    clear(form);
    try {
      await send(contents(form));
    } catch (problem) {
      complain(form, problem);
    } finally {
      button.disabled = false;
    }
  });
}

// Goes to another page. Until it is there this one sends nothing more: whoever awaits it waits for ever.
export function leave(path) {
  location.assign(path);
  return new Promise(() => {});
}

export function open(id, row = {}) {
  const dialog = document.getElementById(id), form = one("form", dialog);
  clear(form);
  fill(form, row);
  one("[data-cancel]", dialog).onclick = () => dialog.close();
  dialog.showModal();
  return dialog;
}

// Selects whose choices the API has: `/v1/levels` gives names under ids, `/v1/roles#name` what the part after # says.
export async function fillSelects(root = document) {
  await Promise.all(
    all("select[data-source]", root).map(async (select) => {
      const [path, value = "id"] = select.dataset.source.split("#");
      const found = await readAll(path);
      select.append(...found.map((each) => el("option", { value: each[value] }, value === "sku" ? `${each.sku} · ${each.name}` : each.name)));
    }),
  );
}
