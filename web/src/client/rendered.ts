/** A face that the server draws: video with sound over WebRTC (docs/rendered.md). */
import { keepInStep } from "../../../src/kouxing/server/rendered/step.js";
import type { State } from "./connection";

/** What a server may show: filmed people whose mouths it paints, or an avatar that it draws. */
export type RenderedSource = "footage" | "avatar";

/** A sentence for the person in front of the screen. */
export class RenderedError extends Error {
  constructor(message: string, readonly code: string, options?: ErrorOptions) {
    super(message, options);
  }
}

export interface RenderedOptions {
  /** `http(s)://` address of the server; the page's own by default. */
  server?: string;
  token?: () => string | undefined;
  /** What is shown; by default what the server shows first. */
  source?: RenderedSource;
  /** Id of a live session: the stream says what that session hears or says. Asked for again with each connection. */
  session?: () => string | undefined;
  /** Id of a stream to look at with others. */
  stream?: string;
  codec?: "h264" | "vp8";
  /** STUN and TURN servers; none by default. */
  ice?: RTCIceServer[];
}

export interface RenderedInfo {
  /** The viewer's id, a key: keep it secret. */
  id: string;
  stream: string;
  width: number;
  height: number;
  /** From sound in to mouth and sound out, without network and coding. */
  delay_ms: number;
}

export interface RenderedEvents {
  state: { state: State; fault: RenderedError | null };
  error: { message: string };
}

const GATHER_MS = 500;
const CONNECT_MS = 15_000;
/** A stream that is interrupted for longer than this is asked for anew. */
const PATIENCE_MS = 2500;
const RETRY_MS = [500, 1500, 4000];

interface Call {
  peer: RTCPeerConnection;
  channel: RTCDataChannel;
  info: RenderedInfo | null;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Rendered {
  state: State = "closed";
  info: RenderedInfo | null = null;
  private readonly events = new EventTarget();
  private readonly server: string;
  private call: Call | null = null;
  private attempts = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private readonly leave = (): void => this.hangUp(true);

  /** `video` plays the stream; browsers let it sound only after a click or a key. */
  constructor(readonly video: HTMLVideoElement, private readonly options: RenderedOptions = {}) {
    this.server = options.server ?? new URL(".", location.href).href;
  }

  /** What a server can show, its default first; empty where it shows nothing or cannot be reached. */
  static async sources(server: string, token?: string): Promise<RenderedSource[]> {
    if (typeof RTCPeerConnection === "undefined") return [];
    try {
      const reply = await fetch(at(server, "v1/rtc/sources"), { headers: bearer(token) });
      const told: unknown = reply.ok ? await reply.json() : [];
      return Array.isArray(told) ? told.filter((one): one is RenderedSource => one === "footage" || one === "avatar") : [];
    } catch {
      return [];
    }
  }

  on<K extends keyof RenderedEvents>(name: K, heard: (detail: RenderedEvents[K]) => void): () => void {
    const listener = (event: Event): void => heard((event as CustomEvent<RenderedEvents[K]>).detail);
    this.events.addEventListener(name, listener);
    return () => this.events.removeEventListener(name, listener);
  }

  /**
   * Connects and plays; later breaks are mended by itself, up to a point.
   *
   * @throws RenderedError: the server refuses, or no connection came about.
   */
  async open(): Promise<void> {
    this.close();
    this.attempts = 0;
    this.tell("connecting", null);
    addEventListener("pagehide", this.leave);
    try {
      await this.connect();
    } catch (error) {
      const fault = told(error);
      if (fault.code !== "closed") this.end(fault);
      throw fault;
    }
  }

  /** Hangs up. */
  close(): void {
    if (this.state !== "closed") this.end(null);
  }

  /** The stream says a sound file (32 MB, 5 minutes), after what waits; seconds that were taken. @throws RenderedError */
  async play(sound: Blob | ArrayBuffer): Promise<number> {
    const reply = await this.ask(`v1/rtc/${this.viewer()}/speech`, { method: "POST", body: sound });
    return ((await reply.json()) as { seconds: number }).seconds;
  }

  /** The stream speaks a text. @throws RenderedError */
  say(text: string, language = "en-us"): void {
    this.viewer();
    this.call?.channel.send(JSON.stringify({ event: "say", text, language }));
  }

  /** Silence and a closed mouth. @throws RenderedError */
  async interrupt(): Promise<void> {
    await this.ask(`v1/rtc/${this.viewer()}/interrupt`, { method: "POST" });
  }

  private viewer(): string {
    if (this.info === null || this.state !== "live") throw new RenderedError("The video from the server is not connected.", "closed");
    return this.info.id;
  }

  private async connect(): Promise<void> {
    const peer = new RTCPeerConnection({ iceServers: this.options.ice ?? [] });
    const call: Call = { peer, channel: peer.createDataChannel("kouxing"), info: null, timer: undefined };
    this.call = call;
    try {
      await this.dial(call);
    } catch (error) {
      // Whatever goes wrong with a call that was given up is nobody's business any more.
      this.still(call);
      throw error;
    }
  }

  private async dial(call: Call): Promise<void> {
    const { peer } = call;
    const media = new MediaStream();
    for (const kind of ["video", "audio"] as const) peer.addTransceiver(kind, { direction: "recvonly" });
    peer.ontrack = ({ track }) => media.addTrack(track);
    keepInStep(peer);
    call.channel.onmessage = ({ data }) => this.heard(data);
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer);
    this.still(call);
    const reply = await this.ask("v1/rtc", { method: "POST", headers: { "content-type": "application/json" }, body: this.offer(peer) });
    const { sdp, ...info } = (await reply.json()) as RenderedInfo & { sdp: string };
    if (this.call !== call) void this.forget(info, false);
    this.still(call);
    call.info = info;
    await peer.setRemoteDescription({ type: "answer", sdp });
    await connected(peer);
    this.still(call);
    this.video.srcObject = media;
    await this.start();
    this.still(call);
    this.info = call.info;
    this.attempts = 0;
    peer.onconnectionstatechange = () => this.watch(call);
    call.channel.onclose = () => this.broken(call);
    this.tell("live", null);
  }

  private offer(peer: RTCPeerConnection): string {
    const { source, stream, codec } = this.options;
    return JSON.stringify({ sdp: peer.localDescription?.sdp, type: "offer", source, stream, codec, session: this.options.session?.() });
  }

  private still(call: Call): void {
    if (this.call !== call) throw new RenderedError("The video from the server was closed.", "closed");
  }

  /** Without a click before it a browser plays no sound; pictures alone are better than nothing. */
  private async start(): Promise<void> {
    try {
      await this.video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      this.video.muted = true;
      await this.video.play().catch(() => undefined);
      this.report("This browser plays sound only after a click: click anywhere, then switch the video on again.");
    }
  }

  private heard(data: unknown): void {
    try {
      const message = (JSON.parse(String(data)) as { message?: unknown }).message;
      if (typeof message === "string") this.report(message);
    } catch {
      // Other servers may say other things.
    }
  }

  private report(message: string): void {
    this.events.dispatchEvent(new CustomEvent("error", { detail: { message } }));
  }

  private watch(call: Call): void {
    clearTimeout(call.timer);
    const state = call.peer.connectionState;
    if (state === "failed" || state === "closed") this.broken(call);
    else if (state === "disconnected") call.timer = setTimeout(() => this.broken(call), PATIENCE_MS);
  }

  private broken(call: Call): void {
    if (this.call !== call) return;
    this.hangUp(false);
    this.again(new RenderedError("The video from the server broke off.", "broken"));
  }

  private again(fault: RenderedError): void {
    const wait = RETRY_MS[this.attempts++];
    if (wait === undefined) return this.end(fault);
    this.tell("broken", fault);
    this.retry = setTimeout(() => {
      this.connect().catch((error: unknown) => {
        const fault = told(error);
        if (fault.code === "closed") return;
        this.hangUp(false);
        this.again(fault);
      });
    }, wait);
  }

  private end(fault: RenderedError | null): void {
    clearTimeout(this.retry);
    removeEventListener("pagehide", this.leave);
    this.hangUp(false);
    this.video.srcObject = null;
    this.tell("closed", fault);
  }

  private hangUp(leaving: boolean): void {
    const call = this.call;
    this.call = null;
    this.info = null;
    if (call === null) return;
    clearTimeout(call.timer);
    call.channel.onclose = call.channel.onmessage = call.peer.onconnectionstatechange = call.peer.ontrack = null;
    call.peer.close();
    if (call.info !== null) void this.forget(call.info, leaving);
  }

  private async forget(info: RenderedInfo, leaving: boolean): Promise<void> {
    await this.ask(`v1/rtc/${info.id}`, { method: "DELETE", keepalive: leaving }).catch(() => undefined);
  }

  private async ask(path: string, how: RequestInit): Promise<Response> {
    const headers = { ...bearer(this.options.token?.()), ...(how.headers as Record<string, string> | undefined) };
    let reply: Response;
    try {
      reply = await fetch(at(this.server, path), { ...how, headers });
    } catch (error) {
      throw new RenderedError("The server cannot be reached.", "network", { cause: error });
    }
    if (reply.ok) return reply;
    const body = (await reply.json().catch(() => ({}))) as { error?: { code?: string; message?: string } };
    const message = body.error?.message ?? `The server refused (${reply.status}).`;
    throw new RenderedError(`${message.charAt(0).toUpperCase()}${message.slice(1)}`, body.error?.code ?? String(reply.status));
  }

  private tell(state: State, fault: RenderedError | null): void {
    this.state = state;
    this.events.dispatchEvent(new CustomEvent("state", { detail: { state, fault } }));
  }
}

function at(server: string, path: string): string {
  return new URL(path, server.endsWith("/") ? server : `${server}/`).href;
}

function bearer(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

function told(error: unknown): RenderedError {
  if (error instanceof RenderedError) return error;
  return new RenderedError("This browser could not play the video from the server.", "browser", { cause: error });
}

function gathered(peer: RTCPeerConnection): Promise<void> {
  return new Promise((done) => {
    const look = (): void => {
      if (peer.iceGatheringState === "complete") done();
    };
    peer.onicegatheringstatechange = look;
    setTimeout(done, GATHER_MS);
    look();
  });
}

function connected(peer: RTCPeerConnection): Promise<void> {
  return new Promise((done, fail) => {
    const failed = (): void => fail(new RenderedError("No connection for the video came about: a firewall stands between, or a TURN server is needed (--ice).", "ice"));
    const timer = setTimeout(failed, CONNECT_MS);
    const look = (): void => {
      if (peer.connectionState !== "connected" && peer.connectionState !== "failed" && peer.connectionState !== "closed") return;
      clearTimeout(timer);
      if (peer.connectionState === "connected") done();
      else failed();
    };
    peer.onconnectionstatechange = look;
    look();
  });
}
