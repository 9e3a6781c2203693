// A file from the API, which a refusal does not turn into a file that says no.

import { Problem } from "./api.js";
import { el, say } from "./dom.js";

export async function download(path, name) {
  try {
    const answer = await fetch(path);
    if (!answer.ok) throw new Problem(await answer.json());
    const url = URL.createObjectURL(await answer.blob());
    el("a", { href: url, download: name }).click();
    URL.revokeObjectURL(url);
    say("");
  } catch (problem) {
    say(problem.message, "danger");
  }
}

export function proofButton(position, label) {
  const fetched = () => download(`/v1/log/proof/${position}`, `event-${position}.tlog-proof`);
  return el("button", { type: "button", class: "btn btn-sm btn-link p-0 align-baseline", "aria-label": `${label} ${position}`, on: { click: fetched } }, label);
}
