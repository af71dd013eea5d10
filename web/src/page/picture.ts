/** Where the picture comes from: drawn in this page, or video that the server draws and sends. */
import type { Stage } from "../avatar/stage";
import type { Live } from "../client/live";
import { Rendered, RenderedError, type RenderedSource } from "../client/rendered";
import { $, announce, group, make, notice } from "./dom";

type Choice = "drawn" | RenderedSource;

const LABELS: Record<Choice, readonly [string, string]> = {
  drawn: ["Drawn here", "this device"],
  footage: ["Filmed", "server video"],
  avatar: ["Rendered", "server video"],
};

export class Picture {
  choice: Choice = "drawn";
  private readonly video = $<HTMLVideoElement>("video");
  private rendered: Rendered | null = null;
  private session: string | undefined;
  private offered: RenderedSource[] = [];
  private mark: (button: HTMLElement) => void = () => undefined;
  private seen: number[] = [];
  private microphone = false;

  /** `stage`: null where this browser cannot draw. */
  constructor(private readonly live: Live, private readonly stage: Stage | null, private readonly server: string) {
    live.on("welcome", ({ session }) => void this.welcomed(session));
    live.on("source", ({ source }) => this.hush(source === "microphone"));
    live.on("speaking", ({ speaking, source }) => {
      if (speaking) this.hush(source === "microphone");
    });
    $("monitor").addEventListener("change", () => this.hush(this.microphone));
    this.count();
  }

  /** Pictures shown in the last second. */
  get rate(): number {
    if (this.choice === "drawn") return this.stage?.rate ?? 0;
    const now = performance.now();
    while ((this.seen[0] ?? now) < now - 1000) this.seen.shift();
    return this.seen.length;
  }

  /** What the server says of its stream, milliseconds from sound in to mouth and sound out; null while this page draws. */
  get delay(): number | null {
    return this.rendered?.info?.delay_ms ?? null;
  }

  private async welcomed(session: string): Promise<void> {
    const before = this.session;
    this.session = this.live.hello.watch ?? session;
    if (before === this.session) return;
    const offered = await Rendered.sources(this.server, this.live.hello.token);
    if (offered.join() !== this.offered.join()) this.offer(offered);
    // The stream said what the old session heard.
    if (this.choice !== "drawn") await this.choose(this.choice);
  }

  private offer(offered: RenderedSource[]): void {
    this.offered = offered;
    $("picture-block").hidden = offered.length === 0;
    const choices: Choice[] = [...(this.stage === null ? [] : (["drawn"] as const)), ...offered];
    const buttons = choices.map((one) =>
      make("button", { type: "button", role: "radio", "aria-checked": "false", tabindex: "-1", "data-picture": one }, LABELS[one][0], make("small", {}, LABELS[one][1])),
    );
    $("picture").replaceChildren(...buttons);
    $("picture").style.setProperty("--columns", String(choices.length));
    this.mark = group(buttons, "aria-checked", (button) => void this.choose(button.dataset["picture"] as Choice));
    if (!choices.includes(this.choice)) this.back();
    this.marked();
    if (this.stage === null && offered.length > 0) $("loading").textContent = "This browser cannot draw in 3D (no WebGL). Choose a video from the server instead.";
  }

  private marked(): void {
    const button = $("picture").querySelector<HTMLElement>(`[data-picture="${this.choice}"]`);
    if (button !== null) this.mark(button);
    else $("picture").querySelector("button")?.setAttribute("tabindex", "0");
  }

  async choose(choice: Choice): Promise<void> {
    this.rendered?.close();
    if (choice === "drawn") return this.back();
    this.choice = choice;
    this.marked();
    const rendered = new Rendered(this.video, {
      server: this.server, source: choice, token: () => this.live.hello.token, session: () => this.session,
    }); // prettier-ignore
    this.rendered = rendered;
    this.show(true);
    rendered.on("state", ({ state, fault }) => {
      if (this.rendered !== rendered) return;
      $("video-loading").hidden = state === "live" || state === "closed";
      $("video-words").textContent = state === "broken" ? "Connecting the video again" : "Connecting the video";
      if (state === "live") this.playing();
      if (state === "closed" && fault !== null) this.failed(fault);
    });
    rendered.on("error", ({ message }) => notice(message));
    // The fault is told by the state.
    await rendered.open().catch((error: unknown) => {
      if (!(error instanceof RenderedError)) throw error;
    });
  }

  private playing(): void {
    const { width, height } = this.rendered?.info ?? { width: 1, height: 1 };
    this.video.style.setProperty("--ratio", `${width} / ${height}`);
    const delay = this.delay ?? 0;
    $("picture-note").textContent = `Face and voice come ${(delay / 1000).toFixed(1)} s after the sound. Avatar and expression are the server's own.`;
    announce("The video from the server plays.");
  }

  private failed(fault: RenderedError): void {
    if (fault.cause !== undefined) console.warn(fault.cause);
    const words = /[.!?]$/.test(fault.message) ? fault.message : `${fault.message}.`;
    notice(words + (this.stage === null ? "" : " The face is drawn here again."));
    this.back();
  }

  private back(): void {
    const closing = this.rendered;
    this.rendered = null;
    closing?.close();
    this.choice = "drawn";
    $("picture-note").textContent = "";
    this.show(false);
    this.marked();
  }

  private show(video: boolean): void {
    $("stage").dataset["shows"] = video ? "video" : "drawn";
    this.video.hidden = !video;
    $("canvas").hidden = video || this.stage === null;
    $("video-loading").hidden = !video;
    for (const id of ["avatar-block", "face-block"]) $(id).inert = video;
    // The stream brings its own sound; hearing the session's too would be an echo.
    this.live.sound.loudness = video ? 0 : 1;
    this.stage?.rest(video);
    if (this.stage === null) $("loading").hidden = video;
    this.hush(this.microphone);
  }

  /** Nobody wants to hear their own voice come back, unless they say so. */
  private hush(microphone: boolean): void {
    this.microphone = microphone;
    this.video.muted = microphone && !this.live.monitor;
  }

  private count(): void {
    if (!("requestVideoFrameCallback" in this.video)) return;
    const next = (): void => {
      this.seen.push(performance.now());
      if (this.seen.length > 100) this.seen.shift();
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
  }
}
