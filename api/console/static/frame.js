// What every page has: the menu on small screens, colours, logging out.

import { ask } from "./api.js";
import { one, say } from "./dom.js";

one(".menu-button")?.addEventListener("click", ({ currentTarget }) => {
  const isOpen = one("#menu").classList.toggle("open");
  currentTarget.setAttribute("aria-expanded", String(isOpen));
});

one("[data-theme-switch]").addEventListener("click", () => {
  const wanted = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
  document.documentElement.dataset.bsTheme = wanted;
  localStorage.setItem("theme", wanted);
});

one("[data-log-out]")?.addEventListener("click", async () => {
  try {
    await ask("DELETE", "/v1/session");
    location.assign("/login");
  } catch (problem) {
    say(problem.message, "danger");
  }
});
