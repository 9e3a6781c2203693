import { read } from "./api.js";
import { proofButton } from "./download.js";
import { el, facts, one, say } from "./dom.js";
import { EVENTS, minor, time } from "./format.js";
import { t } from "./words.js";

const position = Number(one("#event").dataset.position);
const exponents = JSON.parse(one("#event").dataset.exponents);
const amount = (units, currency) => minor(units, currency, exponents[currency]);

function link(id, target) {
  one(id).hidden = !target;
  if (target) one(id).href = `/events/${target}`;
}

try {
  const event = await read(`/v1/events/${position}`);
  const currency = event.postings[0]?.currency;
  one("#type").textContent = `${EVENTS[event.type] ?? event.type} (${event.type})`;
  facts(one("#facts"), [
    [t("Position"), String(event.position)],
    [t("Time"), time(event.recorded_at)],
    [t("Account"), el("a", { href: `/customers/${event.account_id}` }, event.account_id)],
    [t("Version"), String(event.version)],
    [t("Order"), event.order_id && el("a", { href: `/orders/${event.order_id}` }, event.order_id)],
    [t("Actor"), event.actor],
    [t("Idempotency key"), event.idempotency_key],
    [t("Available after"), currency && amount(event.available_minor, currency)],
    [t("Held after"), currency && amount(event.held_minor, currency)],
    [t("Memo"), event.details?.memo],
    [t("Reason"), event.details?.reason],
    [t("Leaf hash"), el("code", {}, event.leaf_hash)],
    [t("Proof"), one("#event").hasAttribute("data-proofs") && proofButton(position, t("Download the proof"))],
  ]);
  one("#postings tbody").replaceChildren(...event.postings.map((each) => el("tr", {}, el("th", { scope: "row", class: "fw-normal" }, each.account), el("td", { class: "end" }, amount(each.amount_minor, each.currency)))));
  const { previous_in_account, next_in_account, details, ...stored } = event;
  one("#stored").textContent = JSON.stringify(stored, null, 2);
  link("#previous-in-account", previous_in_account);
  link("#next-in-account", next_in_account);
  link("#previous-in-log", position > 1 ? position - 1 : null);
  // The log may have grown since, so this one is always there: its page says when nothing is.
  link("#next-in-log", position + 1);
} catch (problem) {
  say(problem.message, "danger");
}
