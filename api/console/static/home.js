import { read } from "./api.js";
import { facts, one, say } from "./dom.js";
import { money } from "./format.js";
import { loadLists, lists } from "./list.js";
import { t } from "./words.js";

const INTERVAL_MS = 3000;

async function show() {
  const balance = await read(`/v1/customers/${one("#home").dataset.customer}/balance`);
  facts(one("#balance"), [
    [t("Available"), money(balance.available, balance.currency)],
    [t("Held"), money(balance.held, balance.currency)],
    [t("Total"), money(balance.total, balance.currency)],
  ]);
}

try {
  await Promise.all([show(), loadLists()]);
  setInterval(() => {
    // A list of which more was asked for stays as it is: anew it would be one page again.
    if (!document.hidden) Promise.allSettled([show(), ...lists.filter((list) => list.pages === 1).map((list) => list.load())]);
  }, INTERVAL_MS);
} catch (problem) {
  say(problem.message, "danger");
}
