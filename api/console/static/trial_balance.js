import { read } from "./api.js";
import { el, one, say } from "./dom.js";
import { money } from "./format.js";
import { t } from "./words.js";

const SLIDING_MS = 150;
const form = one("#at"), slider = one("#slider"), position = form.elements.at_position;
let asked = 0, head = 0;

async function show() {
  const at = position.value;
  const mine = (asked += 1);
  try {
    const found = await read(`/v1/trial-balance${at ? `?at_position=${encodeURIComponent(at)}` : ""}`);
    if (mine !== asked) return;
    say("");
    head = Math.max(head, found.position);
    slider.max = head;
    slider.value = found.position;
    one("#sums").textContent = `${t("position")} ${found.position} · ${Object.entries(found.sums).map(([currency, sum]) => `${t("sum")} ${money(sum, currency)}`).join(", ")}`;
    one("#accounts tbody").replaceChildren(...found.accounts.map(({ account, currency, amount }) => el("tr", {}, el("th", { scope: "row", class: "fw-normal" }, account), el("td", { class: "end" }, money(amount, currency)))));
  } catch (problem) {
    if (mine === asked) say(problem.errors?.map((each) => each.detail).join("; ") || problem.message, "danger");
  }
}

let timer;
slider.addEventListener("input", () => {
  position.value = slider.value;
  clearTimeout(timer);
  timer = setTimeout(show, SLIDING_MS);
});
form.addEventListener("submit", (event) => event.preventDefault());
position.addEventListener("change", show);
await show();
