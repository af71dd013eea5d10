/** `<kouxing-avatar>`: the talking avatar in anybody's page. See docs/embed.md. */
import headAddress from "../../src/kouxing/assets/head.glb?url";
import { fetchAvatar, loadAvatar } from "./avatar/load";
import { Stage } from "./avatar/stage";
import { Live } from "./client/live";
import type { Hello } from "./client/protocol";

export * from "./client";
export { loadAvatar, Stage };

/**
 * Attributes: `server` (address of `kouxing serve`; this script's own by default), `token`, `avatar` (address of a GLB or VRM),
 * `method`, `emotion`, `mouth`, `language`, `watch` (id of a session whose output is shown), `muted`.
 * Methods: `say(text)`, `talk()`, `hush()`, `play(bytes)`, `interrupt()`, `mood({emotion, mouth})`.
 * Events: `ready`, `state`, `speaking`, `text`, `fault`; `detail` as in `LiveEvents`.
 */
export class KouxingAvatar extends HTMLElement {
  live: Live | null = null;
  stage: Stage | null = null;

  connectedCallback(): void {
    if (this.live !== null) return;
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", this.getAttribute("label") ?? "Talking avatar");
    Object.assign(canvas.style, { display: "block", width: "100%", height: "100%" });
    if (getComputedStyle(this).display === "inline") this.style.display = "block";
    this.replaceChildren(canvas);
    const live = new Live({
      server: this.getAttribute("server") ?? new URL(/* @vite-ignore */ ".", import.meta.url).href,
      audible: !this.hasAttribute("muted"),
      hello: this.hello(),
      ...(this.hasAttribute("token") ? { token: this.getAttribute("token") as string } : {}),
    });
    this.live = live;
    this.stage = new Stage(canvas, (into) => live.sample(into));
    for (const name of ["state", "speaking", "text"] as const) live.on(name, (detail) => this.tell(name, detail));
    live.on("error", (detail) => this.tell("fault", detail));
    live.connect();
    void this.load();
  }

  disconnectedCallback(): void {
    // A move within the page disconnects and connects again at once.
    queueMicrotask(() => {
      if (this.isConnected) return;
      void this.live?.close();
      this.stage?.dispose();
      this.live = this.stage = null;
    });
  }

  private hello(): Hello {
    const wanted: Record<string, unknown> = {};
    for (const name of ["method", "emotion", "language", "watch"]) if (this.hasAttribute(name)) wanted[name] = this.getAttribute(name);
    if (this.hasAttribute("mouth")) wanted["mouth"] = Number(this.getAttribute("mouth"));
    return wanted as Hello;
  }

  private async load(): Promise<void> {
    try {
      const avatar = await loadAvatar(await fetchAvatar(this.getAttribute("avatar") ?? headAddress));
      if (this.stage === null) avatar.dispose();
      else this.stage.show(avatar);
      this.tell("ready", {});
    } catch (error) {
      this.tell("fault", { message: error instanceof Error ? error.message : String(error) });
    }
  }

  private tell(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  say(text: string, language?: string): Promise<void> {
    return this.live?.say(text, language) ?? Promise.resolve();
  }
  talk(): Promise<void> {
    return this.live?.talk() ?? Promise.resolve();
  }
  hush(): void {
    this.live?.hush();
  }
  play(bytes: ArrayBuffer): Promise<void> {
    return this.live?.play(bytes) ?? Promise.resolve();
  }
  interrupt(): void {
    this.live?.interrupt();
  }
  mood(mood: { emotion?: string; mouth?: number }): void {
    this.live?.mood(mood);
  }
}

if (customElements.get("kouxing-avatar") === undefined) customElements.define("kouxing-avatar", KouxingAvatar);
