import { ask } from "./api.js";
import { lists, loadLists } from "./list.js";
import { offerReversals } from "./reversals.js";

offerReversals(async (position) => {
  // The list reflects the reversal once its read model does.
  await ask("GET", "/v1/transactions?limit=1", null, { "Ledger-Min-Position": String(position) }).catch(() => {});
  await lists[0].load();
});
await loadLists();
