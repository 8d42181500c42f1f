/** Light or dark: what the system prefers, until the person chooses. theme_before_paint.js applies the choice before first paint. */

import { byId } from "./element.js";

const CHOICE = "gemserve.theme";
const SYSTEM = matchMedia("(prefers-color-scheme: dark)");

export function startTheme() {
  const button = byId("theme");
  const isDark = () => (document.documentElement.dataset.theme ?? (SYSTEM.matches ? "dark" : "light")) === "dark";
  const tell = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(CHOICE, theme);
    tell();
  });
  SYSTEM.addEventListener("change", tell);
  tell();
}
