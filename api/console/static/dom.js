// Elements made of plain text only, so that nothing that somebody typed is ever taken for markup.

export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (name === "class") made.className = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export function facts(list, pairs) {
  list.replaceChildren(...pairs.filter(([, value]) => value != null && value !== "" && value !== false).flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]));
}

export function say(text, kind = "success") {
  const box = one("#said");
  box.replaceChildren(text ? el("div", { class: `alert alert-${kind} mb-0` }, text) : "");
}
