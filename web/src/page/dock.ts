/** What makes the avatar speak: microphone, text, a sound file; and the button that stops it. */
import { type Live, SoundError, type Source } from "../client/live";
import { $, announce, make, notice, remember, remembered } from "./dom";

/** espeak-ng's codes; the names are the languages' own. */
const LANGUAGES: readonly (readonly [string, string])[] = [
  ["en-us", "English"], ["en-gb", "English, UK"], ["de", "Deutsch"], ["fr-fr", "Français"], ["es", "Español"], ["es-419", "Español (LA)"], ["it", "Italiano"],
  ["pt-br", "Português (BR)"], ["pt", "Português"], ["nl", "Nederlands"], ["pl", "Polski"], ["cs", "Čeština"], ["sv", "Svenska"], ["da", "Dansk"], ["nb", "Norsk"], ["fi", "Suomi"],
  ["el", "Ελληνικά"], ["tr", "Türkçe"], ["ru", "Русский"], ["uk", "Українська"], ["ar", "العربية"], ["he", "עברית"], ["fa", "فارسی"], ["hi", "हिन्दी"], ["bn", "বাংলা"], ["ta", "தமிழ்"],
  ["id", "Bahasa Indonesia"], ["vi", "Tiếng Việt"], ["th", "ไทย"], ["cmn", "中文"], ["yue", "粵語"], ["ja", "日本語"], ["ko", "한국어"], ["sw", "Kiswahili"], ["eo", "Esperanto"], ["la", "Latina"],
]; // prettier-ignore

const MOST_SOUND_BYTES = 200e6;

export class Dock {
  private source: Source | null = null;
  private speaking = false;

  constructor(private readonly live: Live) {
    this.microphone();
    this.text();
    this.files();
    $("interrupt").addEventListener("click", () => this.interrupt());
    document.addEventListener("keydown", (event) => {
      if (event.altKey && event.code === "KeyM") {
        event.preventDefault();
        void this.toggle();
      } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.interrupt();
    });
    live.on("source", ({ source, left }) => {
      this.source = source;
      $("mic").setAttribute("aria-pressed", String(source === "microphone"));
      $("mic").title = source === "microphone" ? "Stop talking (Alt+M)" : "Talk (Alt+M)";
      $("mic-label").textContent = source === "microphone" ? "Stop the microphone" : "Talk through the microphone";
      if (source === null) this.level(0);
      if (source === "file") $("sound").title = `Playing, ${Math.ceil(left)} s left`;
      else $("sound").title = "Play a sound file";
      this.refresh();
    });
    live.on("speaking", ({ speaking, source }) => {
      this.speaking = speaking;
      if (!speaking && source === "text") setTimeout(() => this.rested(), 2500);
      this.refresh();
    });
    live.on("text", ({ text }) => {
      $("caption").textContent = text;
    });
    live.on("level", ({ level }) => this.level(level));
  }

  private rested(): void {
    if (!this.speaking) $("caption").textContent = "";
  }

  private refresh(): void {
    $<HTMLButtonElement>("interrupt").disabled = !this.speaking && this.source !== "file";
  }

  private level(level: number): void {
    $("level").style.transform = `scale(${1 + 0.55 * Math.sqrt(level)})`;
  }

  interrupt(): void {
    this.live.interrupt();
    $("caption").textContent = "";
  }

  private microphone(): void {
    $("mic").addEventListener("click", () => void this.toggle());
  }

  private async toggle(): Promise<void> {
    if (this.live.sound.listening) {
      this.live.hush();
      announce("Microphone off.");
      return;
    }
    try {
      await this.live.talk();
      if (this.live.sound.listening) announce("Microphone on. Talk now.");
    } catch (error) {
      told(error);
    }
  }

  private text(): void {
    const language = $<HTMLSelectElement>("language");
    for (const [code, name] of LANGUAGES) language.append(make("option", { value: code, lang: code }, name));
    language.value = remembered("language") ?? "en-us";
    if (language.selectedIndex < 0) language.value = "en-us";
    language.addEventListener("change", () => remember("language", language.value));
    const field = $<HTMLTextAreaElement>("say");
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      $<HTMLFormElement>("dock").requestSubmit();
    });
    $("dock").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = field.value.trim();
      if (text === "") {
        field.focus();
        return;
      }
      this.live.say(text, language.value).then(() => (field.value = ""), told);
    });
  }

  private files(): void {
    const picker = $<HTMLInputElement>("sound-file");
    $("sound").addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      const file = picker.files?.[0];
      if (file !== undefined) void this.play(file);
      picker.value = "";
    });
  }

  async play(file: File): Promise<void> {
    if (file.size > MOST_SOUND_BYTES) return notice(`That file is larger than ${MOST_SOUND_BYTES / 1e6} MB. Choose a shorter one.`);
    try {
      await this.live.play(await file.arrayBuffer());
      announce(`Playing ${file.name}.`);
    } catch (error) {
      told(error);
    }
  }
}

function told(error: unknown): void {
  notice(error instanceof SoundError ? error.message : "The sound could not be started.");
  if (!(error instanceof SoundError)) console.error(error);
}
