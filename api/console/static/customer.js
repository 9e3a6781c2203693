import { ask, command, newKey, read, readAll } from "./api.js";
import { all, el, facts, one, say } from "./dom.js";
import { onSubmit, open } from "./form.js";
import { money, state, time } from "./format.js";
import { lists, loadLists } from "./list.js";
import { offerReversals } from "./reversals.js";
import { t } from "./words.js";

const { id } = one("#customer").dataset;
const WORDS = { recharges: t("Recharge"), deductions: t("Deduct") };
let customer, levels = {};

async function show() {
  customer = await read(`/v1/customers/${id}`);
  one("#name").replaceChildren(customer.name);
  document.title = `${customer.name} · orderledger`;
  facts(one("#facts"), [
    [t("Status"), state(customer.status)],
    [t("Level"), levels[customer.level_id] ?? customer.level_id ?? t("none")],
    [t("Mobile number"), customer.mobile],
    [t("Contact"), customer.contact],
    [t("Credit limit"), money(customer.credit_limit, customer.currency)],
    [t("Low balance below"), customer.low_balance_threshold === null ? "" : money(customer.low_balance_threshold, customer.currency)],
    [t("Created"), time(customer.created_at)],
    [t("Id"), el("code", {}, customer.id)],
  ]);
  if (one("#suspend")) {
    one("#suspend").hidden = customer.status !== "active";
    one("#reactivate").hidden = customer.status !== "suspended";
  }
}

async function showBalance(position = 0) {
  if (!one("#balance")) return;
  const balance = await ask("GET", `/v1/customers/${id}/balance`, null, position ? { "Ledger-Min-Position": String(position) } : {});
  facts(one("#balance"), [
    [t("Available"), money(balance.available, balance.currency)],
    [t("Held"), money(balance.held, balance.currency)],
    [t("Total"), money(balance.total, balance.currency)],
  ]);
}

async function reload(position) {
  // Each reflects the position once its own read model does.
  await Promise.all([showBalance(position).catch(() => showBalance()), ...lists.map((list) => list.loadAt(position))]);
}

for (const button of all("[data-open]")) button.addEventListener("click", () => open(button.dataset.open, customer));

if (one("#editor form")) {
  onSubmit(one("#editor form"), async (content) => {
    const changes = { name: "", mobile: null, contact: null, level_id: null, credit_limit: "0", low_balance_threshold: null, ...content };
    await ask("PATCH", `/v1/customers/${id}`, changes, { "If-Match": `"${customer.revision}"` });
    one("#editor").close();
    await show();
    say(t("Saved."));
  });
}

for (const [button, status] of [["#suspend", "suspended"], ["#reactivate", "active"]]) {
  one(button)?.addEventListener("click", async () => {
    try {
      await ask("PATCH", `/v1/customers/${id}`, { status });
      await show();
      say(t("Saved."));
    } catch (problem) {
      say(problem.message, "danger");
    }
  });
}

// First what would be, with the balance before and after; then the same under one key, however often it is sent.
let pending;
for (const button of all("[data-move]")) {
  button.addEventListener("click", () => {
    const dialog = open("move");
    const kind = button.dataset.move;
    one("h2", dialog).textContent = WORDS[kind];
    pending = { kind, key: newKey() };
  });
}

onSubmit(one("#move form"), async (content) => {
  const path = `/v1/customers/${id}/${pending.kind}`;
  const would = await ask("POST", `${path}?dry_run=true`, { amount: "", ...content });
  const now = await read(`/v1/customers/${id}/balance`);
  Object.assign(pending, { path, content });
  one("#move").close();
  const dialog = open("confirm");
  one("h2", dialog).textContent = WORDS[pending.kind];
  facts(one("#preview"), [
    [t("Customer"), customer.name],
    [t("Amount"), money(would.amount, would.currency)],
    [t("Available before"), money(now.available, now.currency)],
    [t("Available after"), money(would.balance.available, would.balance.currency)],
  ]);
});

onSubmit(one("#confirm form"), async () => {
  const done = await command(pending.path, pending.content, pending.key);
  one("#confirm").close();
  say(t("Posted at position {position}.", { position: done.position }));
  await reload(done.position);
});

offerReversals(reload);

try {
  if (one("#customer").hasAttribute("data-levels")) levels = Object.fromEntries((await readAll("/v1/levels")).map((each) => [each.id, each.name]));
} catch {
  levels = {};
}
await Promise.all([show(), showBalance(), loadLists()]).catch((problem) => say(problem.message, "danger"));
