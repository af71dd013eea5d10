/** Dark or light: the system's choice until the person makes one. */
import { $, remember, remembered } from "./dom";

export function theme(): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = (dark: boolean): void => {
    document.documentElement.dataset["theme"] = dark ? "dark" : "light";
    $("theme").setAttribute("aria-label", dark ? "Switch to light" : "Switch to dark");
    $("theme").title = dark ? "Switch to light" : "Switch to dark";
  };
  const chosen = remembered("theme");
  set(chosen === null ? system.matches : chosen === "dark");
  system.addEventListener("change", () => {
    if (remembered("theme") === null) set(system.matches);
  });
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset["theme"] !== "dark";
    set(dark);
    remember("theme", dark ? "dark" : "light");
  });
}
