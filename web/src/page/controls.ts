/** How the avatar speaks: method, emotion, mouth opening; and how fast it follows. */
import type { Live } from "../client/live";
import { EMOTIONS } from "../client/names";
import { $, group, icon, make } from "./dom";
import type { Picture } from "./picture";

const METER_EVERY_MS = 250;
const SETTLE_MS = 120;

export class Controls {
  private method: "mouth" | "expression" = "mouth";
  private emotion: string = "neutral";
  private methods: (button: HTMLElement) => void;
  private settle: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly live: Live, private readonly picture: Picture) {
    const buttons = [...document.querySelectorAll<HTMLElement>("[data-method]")];
    this.methods = group(buttons, "aria-checked", (button) => this.choose(button.dataset["method"] as "mouth" | "expression"));
    live.on("welcome", (welcome) => {
      this.method = welcome.method === "expression" ? "expression" : "mouth";
      this.methods(buttons.find((one) => one.dataset["method"] === this.method) as HTMLElement);
    });
    this.moods();
    this.slider("strength", () => this.send());
    this.slider("mouth", () => this.live.mood({ mouth: this.value("mouth") }));
    this.strength();
    $<HTMLInputElement>("monitor").addEventListener("change", (event) => {
      this.live.monitor = (event.target as HTMLInputElement).checked;
    });
    setInterval(() => this.meters(), METER_EVERY_MS);
  }

  private value(id: string): number {
    return Number($<HTMLInputElement>(id).value) / 100;
  }

  private get wish(): string {
    return this.emotion === "neutral" ? "" : `${this.emotion}:${this.value("strength").toFixed(2)}`;
  }

  private choose(method: "mouth" | "expression"): void {
    if (method === this.method) return;
    this.method = method;
    if (method === "mouth") this.pick("neutral");
    this.live.restart({ method, emotion: this.wish });
  }

  private moods(): void {
    const all = EMOTIONS.map((name) =>
      make(
        "button", { type: "button", role: "radio", "aria-checked": String(name === "neutral"), "data-mood": name, tabindex: name === "neutral" ? "0" : "-1" },
        make("span", { class: "face" }, icon(`f-${name}`)), name,
      ), // prettier-ignore
    );
    $("moods").append(...all);
    this.mark = group(all, "aria-checked", (button) => {
      const name = button.dataset["mood"] as string;
      this.pick(name);
      if (name !== "neutral" && this.method === "mouth") {
        // Emotions need the method that moves the whole face.
        this.method = "expression";
        this.live.restart({ method: "expression", emotion: this.wish });
      } else this.send();
    });
  }

  private mark: (button: HTMLElement) => void = () => undefined;

  private pick(name: string): void {
    this.emotion = name;
    this.mark(document.querySelector<HTMLElement>(`[data-mood="${name}"]`) as HTMLElement);
    this.strength();
  }

  private strength(): void {
    const off = this.emotion === "neutral";
    $("strength-row").classList.toggle("off", off);
    $<HTMLInputElement>("strength").disabled = off;
  }

  private send(): void {
    if (this.method === "expression") this.live.mood({ emotion: this.wish });
  }

  private slider(id: string, changed: () => void): void {
    const field = $<HTMLInputElement>(id);
    const show = (): void => {
      $(`${id}-value`).textContent = `${field.value} %`;
      field.style.setProperty("--share", `${(100 * Number(field.value)) / Number(field.max)}%`);
    };
    show();
    field.addEventListener("input", () => {
      show();
      clearTimeout(this.settle);
      this.settle = setTimeout(changed, SETTLE_MS);
    });
  }

  private meters(): void {
    const { latency, history, text, skew, late, dropped } = this.live.meters;
    const milliseconds = (value: number | null): string => (value === null ? "–" : `${Math.round(value)} ms`);
    const { delay, rate } = this.picture;
    $("latency").textContent = delay !== null ? String(delay) : latency === null ? "–" : String(Math.round(latency));
    $("latency-unit").hidden = delay === null && latency === null;
    if (delay !== null) $("latency-note").textContent = "Sound to lip and voice in the server, as it says; coding and network come on top.";
    else $("latency-note").textContent = latency === null ? "Sound to lip. Talk to measure it." : "Sound to lip: from the microphone to the picture, median of 3 s.";
    $("gauge").hidden = this.picture.choice !== "drawn" || (latency === null && text === null);
    $("gauge-value").textContent = milliseconds(latency ?? text);
    $("gauge-label").textContent = latency !== null ? "sound to lip" : "start to first lip";
    $("text-latency").textContent = milliseconds(text);
    $("skew").textContent = skew === null ? "–" : `${skew < 0 ? "−" : "±"}${Math.abs(skew).toFixed(1)} ms`;
    const lost = Object.values(dropped).reduce((sum, one) => sum + one, 0);
    $("late").textContent = lost > 0 ? `${late}, ${lost} lost` : String(late);
    $("rate").textContent = String(rate);
    const [line, area] = spark(history);
    $("spark").querySelector(".line")?.setAttribute("d", line);
    $("spark").querySelector(".area")?.setAttribute("d", area);
  }
}

/** Paths of a 180 × 40 chart, 0 to 300 ms (or more, where needed). */
export function spark(values: readonly number[]): [string, string] {
  if (values.length < 2) return ["", ""];
  const most = Math.max(300, ...values);
  const points = values.map((value, i) => `${((180 * i) / (values.length - 1)).toFixed(1)} ${(39 - (38 * value) / most).toFixed(1)}`);
  const line = `M${points.join("L")}`;
  return [line, `${line}L180 40L0 40Z`];
}
