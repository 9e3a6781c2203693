// Asks the API as every client does. A session's changes carry its token; a command carries a key of its own.

import { language, t } from "./words.js";

export class Problem extends Error {
  constructor(document) {
    // The service words its details in English; in another language the title says it.
    super(language === "en" || !document.title ? document.detail || document.title : t(document.title));
    this.document = document;
    this.errors = document.errors || [];
  }
}

const token = document.querySelector("meta[name=csrf-token]").content;

export const newKey = () => crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export async function ask(method, path, body = null, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
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
  if (answer.status === 401 && location.pathname !== "/login") {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    return new Promise(() => {});
  }
  const text = await answer.text();
  const document_ = text && answer.headers.get("Content-Type").includes("json") ? JSON.parse(text) : {};
  if (!answer.ok) throw new Problem(document_);
  return document_;
}

export const read = (path) => ask("GET", path);

// A command that is sent again after a failure keeps its key, so that it never takes effect twice.
export const command = (path, body, key) => ask("POST", path, body, { "Idempotency-Key": key });
