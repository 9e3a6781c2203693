// Asks the API as every client does. A session's changes carry its token; a command carries a key of its own.

import { t, translated } from "./words.js";

export class Problem extends Error {
  constructor(document, isDecided = false) {
    super(translated(document.detail || document.title));
    this.document = document;
    this.isDecided = isDecided;
    this.errors = (document.errors || []).map((each) => ({ ...each, detail: translated(each.detail) }));
  }
}

const ROWS_PER_PAGE = 200, PAGES_MAX = 25;
const RENEWAL_MS = 300;
const SEEN = "position-seen";
// What may come from a replica, which may lag: read models wait only where their page says so.
const PAST = /^\/v1\/(orders\/(?!export)[^/?]+|events|trial-balance|customers\/[^/]+\/statement)(?=[/?]|$)/;
const token = document.querySelector("meta[name=csrf-token]").content;

const random = () => crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export const newKey = () => ({ text: random() });

async function send(method, path, body = null, headers = {}) {
  try {
    return await fetch(path, {
      method,
      headers: {
        Accept: "application/json",
        ...(body === null ? {} : { "Content-Type": "application/json" }),
        ...(method === "GET" || !token ? {} : { "X-CSRF-Token": token }),
        ...headers,
      },
      body: body === null ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem({ detail: t("The service cannot be reached. Nothing is lost: try again.") });
  }
}

// Whoever has seen the ledger at a position, on any page of this tab, is not shown an older one.
const seen = () => Number(sessionStorage.getItem(SEEN) ?? 0);

function remember(answer) {
  const position = Number(answer.headers.get("Ledger-Position") ?? 0);
  if (position > seen()) sessionStorage.setItem(SEEN, String(position));
}

export async function ask(method, path, body = null, headers = {}) {
  if (method === "GET" && PAST.test(path) && seen()) headers = { "Ledger-Min-Position": String(seen()), ...headers };
  let answer = await send(method, path, body, headers);
  if (answer.status === 401 && location.pathname !== "/login") {
    // A session gets a new id when its user's role has changed; another request of this page may just have received it.
    await new Promise((done) => setTimeout(done, RENEWAL_MS));
    answer = await send(method, path, body, headers);
  }
  if (answer.status === 401 && location.pathname !== "/login") {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    return new Promise(() => {});
  }
  const document_ = await documentOf(answer);
  // A trial tells a position that nothing has.
  if (!path.includes("dry_run=true")) remember(answer);
  if (document_.code === "not-fresh-enough" && sessionStorage.getItem(SEEN) !== null && PAST.test(path)) {
    // The log itself is older than what was seen: it is another one, such as a backup.
    sessionStorage.removeItem(SEEN);
    delete headers["Ledger-Min-Position"];
    return ask(method, path, body, headers);
  }
  if (answer.ok) return document_;
  throw refusal(answer, document_);
}

async function documentOf(answer) {
  const text = await answer.text();
  return text && answer.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : {};
}

// What the service says no with has a title.
function refusal(answer, document_) {
  if (document_.title) return new Problem(document_, isDecided(answer, document_));
  return new Problem({ detail: t("Not the service answered but something in front of it, with status {status}: try again.", { status: answer.status }) });
}

// An answer to be read in another form than JSON.
export async function answerTo(path) {
  const answer = await send("GET", path, null, { Accept: "*/*" });
  if (!answer.ok) throw refusal(answer, await documentOf(answer));
  return answer;
}

// How the service is, and its read models: it tells also while it is not ready.
export async function readiness() {
  const answer = await send("GET", "/readyz");
  const found = await documentOf(answer);
  if (!found.checks) throw refusal(answer, found);
  return found;
}

// A refusal that the ledger decided names the position it was decided at. What never came to that names none, and a key
// that has another command's outcome has none of this one's.
const isDecided = (answer, { code }) => answer.status < 500 && answer.headers.has("Ledger-Position") && code !== "idempotency-key-reused";

export const read = (path) => ask("GET", path);

// All that a list of the directory has, page by page, up to a bound.
export async function readAll(path) {
  const found = [];
  let next = null;
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const query = `limit=${ROWS_PER_PAGE}${next === null ? "" : `&cursor=${encodeURIComponent(next)}`}`;
    const page = await read(`${path}${path.includes("?") ? "&" : "?"}${query}`);
    found.push(...page.data);
    next = page.next;
    if (next === null) break;
  }
  return found;
}

// A command that is sent again after a failure keeps its key, so that it never takes effect twice. A refusal stays its
// key's answer for ever: after one the next try is another command.
export async function command(path, body, key) {
  try {
    return await ask("POST", path, body, { "Idempotency-Key": key.text });
  } catch (problem) {
    if (problem.isDecided) key.text = random();
    throw problem;
  }
}
