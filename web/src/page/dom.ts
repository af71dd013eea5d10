/** Small, typed ways to the page's elements. */

export function $<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

/** Makes an element: attributes as a record, then children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Record<string, string> = {}, ...children: (Node | string)[]
): HTMLElementTagNameMap[K] { // prettier-ignore
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name: string): SVGSVGElement {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "icon");
  picture.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${name}`);
  picture.append(use);
  return picture;
}

/** Arrow keys move within a group of radio buttons or tabs, as in native ones; `chosen` gets the button. */
export function group(buttons: HTMLElement[], mark: "aria-checked" | "aria-selected", chosen: (button: HTMLElement) => void): (button: HTMLElement) => void {
  const set = (button: HTMLElement): void => {
    for (const one of buttons) {
      one.setAttribute(mark, String(one === button));
      one.tabIndex = one === button ? 0 : -1;
    }
  };
  buttons.forEach((button, place) => {
    button.addEventListener("click", () => chosen(button));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const to = event.key === "Home" ? 0 : event.key === "End" ? buttons.length - 1 : step === undefined ? null : place + step;
      if (to === null) return;
      event.preventDefault();
      const next = buttons[(to + buttons.length) % buttons.length] as HTMLElement;
      next.focus();
      chosen(next);
    });
  });
  return set;
}

let closing: ReturnType<typeof setTimeout> | undefined;

/** A sentence that the person must see; goes by itself after a while. */
export function notice(message: string): void {
  $("notice-text").textContent = message;
  $("notice").hidden = false;
  clearTimeout(closing);
  closing = setTimeout(() => ($("notice").hidden = true), 12_000);
}

/** Told to screen readers, without a trace on the screen. */
export function announce(message: string): void {
  $("announce").textContent = message;
}

/** Kept between visits where the browser allows it. */
export function remembered(key: string): string | null {
  try {
    return localStorage.getItem(`kouxing.${key}`);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`kouxing.${key}`, value);
  } catch {
    // Private windows may forbid it; nothing is lost but the memory.
  }
}
