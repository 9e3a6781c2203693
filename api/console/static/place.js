import { ask, command, newKey } from "./api.js";
import { facts, one } from "./dom.js";
import { restorePickers } from "./picker.js";
import { clear, complain, contents, fillSelects, leave, onSubmit } from "./form.js";
import { money, number } from "./format.js";
import { t } from "./words.js";

const form = one("#place");
const TYPING_MS = 250;
let key = newKey(), asked = 0, timer;

function order() {
  const content = contents(form);
  return form.dataset.customer ? { ...content, customer_id: form.dataset.customer } : content;
}

// The price is asked from the service, as a trial of the very order that would be placed.
async function quote() {
  const mine = (asked += 1);
  clear(form);
  try {
    const { order: would, balance } = await ask("POST", "/v1/orders?dry_run=true", order());
    if (mine !== asked) return;
    facts(one("#quote"), [
      [t("Unit price"), `${would.unit_price} ${would.currency}`],
      [t("Quantity"), number(would.quantity)],
      [t("List price"), money(would.list_amount, would.currency)],
      [t("You pay"), `${would.discount_percent} %`],
      [t("Amount"), money(would.amount, would.currency)],
      [t("Available after"), money(balance.available, balance.currency)],
    ]);
  } catch (problem) {
    if (mine !== asked) return;
    one("#quote").replaceChildren();
    complain(form, problem);
  }
}

form.addEventListener("input", () => {
  // Another order is another command.
  key = newKey();
  clearTimeout(timer);
  timer = setTimeout(quote, TYPING_MS);
});

onSubmit(form, async () => {
  const done = await command("/v1/orders", order(), key);
  await leave(`/orders/${done.order.id}`);
});

await Promise.all([fillSelects(), restorePickers()]);
if (form.elements.product.value) await quote();
