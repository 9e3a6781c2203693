// Reversing a recharge or a deduction, where transactions are listed for somebody who may.

import { command, newKey } from "./api.js";
import { one, say } from "./dom.js";
import { onSubmit, open } from "./form.js";
import { lists } from "./list.js";
import { t } from "./words.js";

const REVERSIBLE = new Set(["recharge.posted", "deduction.posted"]);

// `after(position)` shows what has changed.
export function offerReversals(after) {
  const form = one("#reversal form");
  const list = lists.find((each) => each.path.startsWith("/v1/transactions"));
  if (!form || !list) return;
  let key, reversed;
  list.addAction(
    t("Reverse"),
    (row) => {
      [key, reversed] = [newKey(), row.position];
      open("reversal");
    },
    { colour: "danger", isFor: (row) => REVERSIBLE.has(row.type) && row.reversed_by === null },
  );
  onSubmit(form, async (content) => {
    const done = await command(`/v1/transactions/${reversed}/reversal`, { reason: "", ...content }, key);
    one("#reversal").close();
    say(t("Posted at position {position}.", { position: done.position }));
    await after(done.position);
  });
}
