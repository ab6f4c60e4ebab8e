// Light, dark or as the system has it. Loaded before the page is drawn, so that nothing flashes.
"use strict";

(() => {
  const KEY = "evcharge.theme";
  const THEMES = ["auto", "light", "dark"];
  const root = document.documentElement;

  function chosen() {
    try {
      const theme = localStorage.getItem(KEY);
      return THEMES.includes(theme) ? theme : "auto";
    } catch {
      return "auto"; // storage is switched off
    }
  }

  function apply(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    document.dispatchEvent(new Event("themechange"));
  }

  function keep(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // it holds for this page only
    }
  }

  function showButton() {
    const button = document.getElementById("theme");
    let theme = chosen();
    const label = () => (document.getElementById("theme-name").textContent = theme);
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      keep(theme);
      apply(theme);
      label();
    });
    label();
    button.hidden = false;
  }

  apply(chosen());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new Event("themechange"));
  });
  document.addEventListener("DOMContentLoaded", showButton);
})();
