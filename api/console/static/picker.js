// A customer by part of its name, its number or its id: a combobox whose hidden field holds the id of whom one chose.

import { read } from "./api.js";
import { all, el, one } from "./dom.js";
import { UNCHOSEN } from "./form.js";

const TYPING_MS = 250;
const LEAVING_MS = 150;
const CHOICES_MAX = 8;

class Picker {
  constructor(box) {
    this.input = one("[role=combobox]", box);
    this.hidden = one("[type=hidden]", box);
    this.list = one("[role=listbox]", box);
    this.wrong = one("[data-wrong]", box);
    this.asked = 0;
    this.active = -1;
    this.input.addEventListener("input", (event) => {
      // The form hears of a choice, not of every letter.
      event.stopPropagation();
      this.unchoose();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.look(), TYPING_MS);
    });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => setTimeout(() => this.leave(), LEAVING_MS));
  }

  // What is typed is nobody until one is chosen from the list of just that: neither who was before, nor who an older list has.
  unchoose() {
    this.asked += 1;
    this.close();
    this.wrong.textContent = "";
    if (this.hidden.value) this.set("");
  }

  async look() {
    const text = this.input.value.trim();
    const asked = (this.asked += 1);
    if (!text) return this.choose(null);
    const like = encodeURIComponent(text);
    const queries = [`name__contains=${like}`, `mobile__contains=${like}`, `id=${like}`];
    // What is no id or number is refused there, and found nowhere.
    const answers = await Promise.allSettled(queries.map((query) => read(`/v1/customers?${query}&limit=${CHOICES_MAX}&sort=name`)));
    if (asked !== this.asked) return;
    const found = new Map(answers.flatMap((each) => each.value?.data ?? []).map((each) => [each.id, each]));
    this.show([...found.values()].slice(0, CHOICES_MAX));
  }

  show(customers) {
    this.customers = customers;
    this.active = -1;
    this.list.replaceChildren(
      ...customers.map((each, index) =>
        el("li", { id: `${this.list.id}-${index}`, role: "option", class: "list-group-item list-group-item-action", "aria-selected": "false", on: { pointerdown: () => this.choose(each) } }, each.name, each.mobile ? el("small", { class: "text-body-secondary" }, ` ${each.mobile}`) : ""),
      ),
    );
    this.list.hidden = customers.length === 0;
    this.input.setAttribute("aria-expanded", String(customers.length > 0));
  }

  key(event) {
    if (this.list.hidden) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.active = (this.active + step + this.customers.length) % this.customers.length;
      [...this.list.children].forEach((each, index) => {
        each.setAttribute("aria-selected", String(index === this.active));
        each.classList.toggle("active", index === this.active);
      });
      this.input.setAttribute("aria-activedescendant", `${this.list.id}-${this.active}`);
    } else if (event.key === "Enter") this.choose(this.customers[Math.max(0, this.active)]);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
  }

  choose(customer) {
    if (customer) this.input.value = customer.name;
    this.close();
    this.wrong.textContent = "";
    this.set(customer?.id ?? "");
  }

  set(id) {
    this.hidden.value = id;
    this.hidden.dispatchEvent(new Event("input", { bubbles: true }));
    this.hidden.dispatchEvent(new Event("change", { bubbles: true }));
  }

  leave() {
    this.close();
    if (this.input.value.trim() && !this.hidden.value) this.wrong.textContent = ` ${UNCHOSEN}`;
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  // Shows whose id the hidden field holds, from the address or as it was; who cannot be read is shown by the id.
  async restore() {
    clearTimeout(this.timer);
    const asked = (this.asked += 1);
    const id = this.hidden.value;
    this.input.disabled = this.hidden.disabled;
    this.input.value = "";
    if (!id) return;
    const { name } = await read(`/v1/customers/${encodeURIComponent(id)}`).catch(() => ({ name: id }));
    // Meanwhile another may have been chosen, or the form opened anew.
    if (asked === this.asked) this.input.value = name;
  }
}

export const pickers = all("[data-picker]").map((box) => new Picker(box));

export async function restorePickers() {
  const given = new URLSearchParams(location.search).get("customer_id");
  for (const each of pickers) if (given && !each.hidden.closest("dialog")) each.hidden.value = given;
  await Promise.all(pickers.map((each) => each.restore()));
}
