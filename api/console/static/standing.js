// Whether the log is sealed and was verified, in a line each.

import { el } from "./dom.js";
import { number, time } from "./format.js";
import { t } from "./words.js";

const VERDICTS = {
  clean: [t("clean"), "success"],
  tampered: [t("tampered with"), "danger"],
  "cannot tell": [t("cannot tell"), "warning"],
};

export function standing({ checkpoint, lag_events, verification }) {
  const [verdict, colour] = verification ? VERDICTS[verification.status] : [t("never verified"), "secondary"];
  return el(
    "ul",
    { class: "list-unstyled mb-0" },
    el("li", {}, `${t("Verification")}: `, el("span", { class: `badge text-bg-${colour}` }, verdict), verification ? ` ${t("{count} events", { count: number(verification.events) })} · ${time(verification.finished_at)}` : ""),
    el("li", {}, `${t("Signed checkpoint")}: `, checkpoint ? `${t("{count} events", { count: number(checkpoint.size) })} · ${time(checkpoint.sealed_at)}` : t("none"), lag_events ? ` · ${t("{count} events not sealed yet", { count: number(lag_events) })}` : ""),
  );
}
