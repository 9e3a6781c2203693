// Before anything is painted: the colours that were chosen, else those that the system has.
(() => {
  const wanted = localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.bsTheme = wanted;
})();
