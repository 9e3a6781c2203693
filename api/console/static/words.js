// The page's language: English words as they stand in the scripts, others from the service's catalogue.

export const language = document.documentElement.dataset.language;
const words = language === "en" ? {} : await (await fetch(`/console/words-${language}.json`)).json();
let patterns;

export function t(text, values = {}) {
  return filled(words[text] ?? text, values);
}

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

// What the service says in English: as it is in the catalogue, or with names and numbers where the catalogue has places.
export function translated(text) {
  if (!text || language === "en") return text;
  if (words[text]) return words[text];
  patterns ??= Object.keys(words).filter((each) => /\{\w+\}/.test(each)).map(pattern).sort((one, other) => other.fixed - one.fixed);
  for (const { expression, places, source } of patterns) {
    const found = expression.exec(text);
    if (found) return filled(words[source], Object.fromEntries(places.map((name, index) => [name, translated(found[index + 1])])));
  }
  return text;
}

function pattern(source) {
  const places = [...source.matchAll(/\{(\w+)\}/g)].map((each) => each[1]);
  const fixed = source.split(/\{\w+\}/);
  return { source, places, fixed: fixed.join("").length, expression: new RegExp(`^${fixed.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("(.+?)")}$`, "s") };
}
