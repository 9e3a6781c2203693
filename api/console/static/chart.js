// Lines over time as a picture, with the same figures as a table for whom a picture says nothing.

import { el } from "./dom.js";
import { t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000, HEIGHT = 300;
const GRID_LINES = 4;

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Heights only: the picture may round, the words beside it are the exact texts.
function scale(values) {
  const low = Math.min(0, ...values), high = Math.max(...values, low + 1);
  return (value) => HEIGHT * (1 - (value - low) / (high - low));
}

// `series`: [{name, texts}], one text a moment of `labels`; `word` shows an amount; `step`: a value holds until the next.
// `times` (milliseconds) places moments by time; without them they are evenly apart.
export function chart(title, labels, series, word, { step = false, times = null } = {}) {
  const numbers = series.map((each) => each.texts.map(Number));
  const y = scale(numbers.flat());
  const [first, last] = times ? [times[0], times.at(-1)] : [0, Math.max(1, labels.length - 1)];
  const x = (index) => (WIDTH * ((times ? times[index] : index) - first)) / Math.max(1, last - first);
  // Stretched to the room there is; what is written stands beside it.
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "chart", role: "img", "aria-label": title });
  for (let line = 0; line <= GRID_LINES; line += 1) {
    const at = (HEIGHT * line) / GRID_LINES;
    picture.append(svg("line", { x1: 0, x2: WIDTH, y1: at, y2: at, class: "grid" }));
  }
  numbers.forEach((values, index) => {
    const points = values.flatMap((value, at) => (step && at ? [[x(at), y(values[at - 1])], [x(at), y(value)]] : [[x(at), y(value)]]));
    picture.append(svg("polyline", { points: points.map((each) => each.map((part) => part.toFixed(1)).join(",")).join(" "), class: `line line-${index}` }));
  });
  const mark = svg("line", { y1: 0, y2: HEIGHT, class: "pointer", visibility: "hidden" });
  picture.append(mark);
  const said = el("p", { class: "legend" }, ...series.map((each, index) => el("span", {}, el("span", { class: `key key-${index}`, "aria-hidden": "true" }), ` ${each.name} `, el("strong", {}, word(each.texts.at(-1))))));
  const amounts = [...said.querySelectorAll("strong")];
  const when = el("span", { class: "text-body-secondary" }, labels.at(-1) ?? "");
  said.append(when);
  picture.addEventListener("pointermove", (event) => {
    const at = ((event.clientX - picture.getBoundingClientRect().left) / picture.getBoundingClientRect().width) * WIDTH;
    let nearest = 0;
    labels.forEach((_, index) => {
      if (Math.abs(x(index) - at) < Math.abs(x(nearest) - at)) nearest = index;
    });
    mark.setAttribute("x1", x(nearest));
    mark.setAttribute("x2", x(nearest));
    mark.setAttribute("visibility", "visible");
    when.textContent = labels[nearest];
    series.forEach((each, index) => {
      amounts[index].textContent = word(each.texts[nearest]);
    });
  });
  const texts = series.flatMap((each) => each.texts);
  const [lowest, highest] = [Math.min, Math.max].map((most) => texts.find((text) => Number(text) === most(...texts.map(Number))) ?? "0");
  const plot = el("div", { class: "plot" },
    el("div", { class: "axis" }, el("span", {}, word(highest)), el("span", {}, Number(lowest) < 0 ? word(lowest) : "0")), picture,
    el("div", { class: "ends" }, el("span", {}, labels[0] ?? ""), el("span", {}, labels.at(-1) ?? "")));
  return el("figure", { class: "mb-0" }, said, plot, table(title, labels, series, word));
}

function table(title, labels, series, word) {
  return el("details", {}, el("summary", {}, t("As a table")),
    el("div", { class: "table-responsive", tabindex: "0" }, el("table", { class: "table table-sm" }, el("caption", {}, title),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("Time")), ...series.map((each) => el("th", { scope: "col", class: "end" }, each.name)))),
      el("tbody", {}, ...labels.map((label, at) => el("tr", {}, el("th", { scope: "row", class: "fw-normal" }, label), ...series.map((each) => el("td", { class: "end" }, word(each.texts[at])))))))));
}
