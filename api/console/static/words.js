// The page's language: English words as they stand in the scripts, others from the service's catalogue.

export const language = document.documentElement.dataset.language;
const words = language === "en" ? {} : await (await fetch(`/console/words-${language}`)).json();

export function t(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
