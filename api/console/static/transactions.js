import { lists, loadLists } from "./list.js";
import { offerReversals } from "./reversals.js";

offerReversals((position) => lists[0].loadAt(position));
await loadLists();
