import { ask, command, newKey, read } from "./api.js";
import { proofButton } from "./download.js";
import { all, el, facts, one, say } from "./dom.js";
import { onSubmit, open } from "./form.js";
import { EVENTS, money, number, state, time } from "./format.js";
import { t } from "./words.js";

const { id } = one("#order").dataset;
const [seesCustomers, seesEvents, seesProofs] = ["data-customers", "data-events", "data-proofs"].map((name) => one("#order").hasAttribute(name));
const OPEN = new Set(["placed", "executing"]);
const INTERVAL_MS = 1500;
let order;

async function show() {
  order = await read(`/v1/orders/${id}`);
  one("#status").replaceChildren(state(order.status));
  facts(one("#facts"), [
    [t("Customer"), seesCustomers ? el("a", { href: `/customers/${order.customer_id}` }, order.customer_name ?? order.customer_id) : order.customer_name],
    [t("Product"), order.product],
    [t("Quantity"), number(order.quantity)],
    [t("Unit price"), `${order.unit_price} ${order.currency}`],
    [t("List price"), money(order.list_amount, order.currency)],
    [t("Pays"), `${order.discount_percent} %`],
    [t("Amount"), money(order.amount, order.currency)],
    [t("Delivered"), order.delivered ? number(order.delivered) : ""],
    [t("Captured"), money(order.captured, order.currency)],
    [t("Released"), money(order.released, order.currency)],
    [t("Reference"), order.reference],
    [t("Why"), order.code],
  ]);
  one("#timeline").replaceChildren(
    ...order.events.map((event) => el("li", {}, el("strong", {}, EVENTS[event.type] ?? event.type), el("div", { class: "text-body-secondary" }, `${time(event.recorded_at)} · ${t("position")} `, seesEvents ? el("a", { href: `/events/${event.position}` }, String(event.position)) : String(event.position), ` · ${event.actor}`, seesProofs ? " · " : "", seesProofs ? proofButton(event.position, t("Proof")) : ""))),
  );
  if (one("#cancel")) one("#cancel").hidden = !OPEN.has(order.status);
  if (one("#resolve")) one("#resolve").hidden = order.status !== "needs_review";
}

for (const button of all("[data-open]")) {
  button.addEventListener("click", () => {
    open(button.dataset.open).key = newKey();
  });
}

onSubmit(one("#cancellation form"), async (content) => {
  const dialog = one("#cancellation");
  const done = await command(`/v1/orders/${id}/cancellation`, content, dialog.key);
  dialog.close();
  say(done.status === "cancellation_requested" ? t("The executor is being asked.") : t("The order is cancelled."));
  await show();
});

if (one("#resolution")) {
  onSubmit(one("#resolution form"), async (content) => {
    const dialog = one("#resolution");
    await command(`/v1/orders/${id}/resolution`, content, dialog.key);
    dialog.close();
    await show();
  });
}

try {
  await show();
  // Who waits for an order sees it move on without loading the page again.
  setInterval(() => {
    if (!document.hidden && OPEN.has(order.status)) show().catch(() => {});
  }, INTERVAL_MS);
} catch (problem) {
  say(problem.message, "danger");
}
