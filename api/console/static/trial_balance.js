import { read } from "./api.js";
import { el, one, say } from "./dom.js";
import { money } from "./format.js";
import { t } from "./words.js";

async function show() {
  const at = one("#at").elements.at_position.value;
  try {
    const found = await read(`/v1/trial-balance${at ? `?at_position=${encodeURIComponent(at)}` : ""}`);
    say("");
    one("#sums").textContent = `${t("position")} ${found.position} · ${Object.entries(found.sums).map(([currency, sum]) => `${t("sum")} ${money(sum, currency)}`).join(", ")}`;
    one("#accounts tbody").replaceChildren(...found.accounts.map(({ account, currency, amount }) => el("tr", {}, el("th", { scope: "row", class: "fw-normal" }, account), el("td", { class: "end" }, money(amount, currency)))));
  } catch (problem) {
    say(problem.errors?.map((each) => each.detail).join("; ") || problem.message, "danger");
  }
}

one("#at").addEventListener("submit", (event) => event.preventDefault());
one("#at").addEventListener("change", show);
await show();
