import { read } from "./api.js";
import { el, one, say } from "./dom.js";
import { t, translated } from "./words.js";

const STATES = { good: [t("good"), "success"], warning: [t("warning"), "warning"], bad: [t("bad"), "danger"] };

async function show() {
  try {
    const { findings } = await read("/v1/doctor");
    say("");
    const count = (state) => findings.filter((each) => each.state === state).length;
    one("#verdict").textContent = count("bad") ? t("{count} things must be mended.", { count: count("bad") }) : count("warning") ? t("{count} things should be looked at.", { count: count("warning") }) : t("Everything is as it should be.");
    one("#findings tbody").replaceChildren(...findings.map((each) => el("tr", {}, el("th", { scope: "row", class: "fw-normal" }, translated(each.check)), el("td", {}, el("span", { class: `badge text-bg-${STATES[each.state][1]}` }, STATES[each.state][0])), el("td", {}, translated(each.finding)), el("td", {}, translated(each.mend)))));
  } catch (problem) {
    say(problem.message, "danger");
  }
}

one("#again").addEventListener("click", show);
await show();
