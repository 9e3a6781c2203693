import { read, readiness } from "./api.js";
import { el, one, say } from "./dom.js";
import { number, time } from "./format.js";
import { t } from "./words.js";

const INTERVAL_MS = 3000;
const MODELS = { current: [t("current"), "success"], behind: [t("behind"), "warning"], stopped: [t("stopped"), "danger"], missing: [t("missing"), "danger"] };
const NOT_READY = { draining: t("The process that answered is about to stop."), unavailable: t("The database cannot be used just now."), degraded: t("Redis or the directory cannot be used just now.") };
const WORKERS = { idle: t("idle"), busy: t("busy"), started: t("started"), suspended: t("suspended") };

const cell = (content, isNumber = false) => el("td", isNumber ? { class: "end" } : {}, content);
const head = (content) => el("th", { scope: "row", class: "fw-normal" }, content);
const badge = (word, colour) => el("span", { class: `badge text-bg-${colour}` }, word);

async function show() {
  const [{ queues, workers }, { status, projections }] = await Promise.all([read("/v1/queues"), readiness()]);
  const on = (name) => workers.filter((each) => each.queues.includes(name)).length;
  one("#queues tbody").replaceChildren(...queues.map((each) => el("tr", {}, head(each.name), cell(number(each.waiting), true), cell(number(each.running), true), cell(number(each.failed), true),
    el("td", { class: "end" }, on(each.name) ? number(on(each.name)) : badge(t("no worker"), "danger")))));
  one("#models tbody").replaceChildren(...projections.map((each) => el("tr", {}, head(each.name), cell(badge(...(MODELS[each.state] ?? [each.state, "secondary"]))), cell(number(each.position), true), cell(number(each.lag_events), true), cell(number(each.lag_s), true))));
  one("#workers tbody").replaceChildren(...workers.map((each) => el("tr", {}, head(each.queues.join(", ")), cell(WORKERS[each.state] ?? each.state), cell(`${each.host ?? ""} ${each.pid ?? ""}`), cell(time(each.started_at)), cell(time(each.seen_at)), cell(number(each.succeeded), true), cell(number(each.failed), true))));
  say(NOT_READY[status] ?? "", "warning");
}

const attempt = () => show().catch((problem) => say(problem.message, "danger"));
await attempt();
setInterval(() => document.hidden || attempt(), INTERVAL_MS);
