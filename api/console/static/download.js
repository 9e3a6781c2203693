// A file from the API, which a refusal does not turn into a file that says no.

import { answerTo } from "./api.js";
import { el, say } from "./dom.js";

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}

export async function download(path, name) {
  try {
    save(await (await answerTo(path)).blob(), name);
    say("");
  } catch (problem) {
    say(problem.message, "danger");
  }
}

// A long answer line by line: `tell` hears how many lines have come, and the file is saved once it is whole.
export async function downloadLines(path, name, tell) {
  const answer = await answerTo(path);
  const pieces = [], reader = answer.body.getReader();
  let lines = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    for (let at = value.indexOf(10); at >= 0; at = value.indexOf(10, at + 1)) lines += 1;
    tell(lines, Number(answer.headers.get("Ledger-Position")));
  }
  save(new Blob(pieces), name);
}

export function proofButton(position, label) {
  const fetched = () => download(`/v1/log/proof/${position}`, `event-${position}.tlog-proof`);
  return el("button", { type: "button", class: "btn btn-sm btn-link p-0 align-baseline", "aria-label": `${label} ${position}`, on: { click: fetched } }, label);
}
