/** One session over a WebSocket that may break and come back. */
import { decode, encodeEvent, encodePing, encodeRows, encodeSound, EVENT, type Frame, PING, PONG, ProtocolError, type Hello, VERSION, type Welcome } from "./protocol";
import { SAMPLE_HZ } from "./names";

export type State = "connecting" | "live" | "broken" | "closed";

export interface Refusal {
  code: string;
  message: string;
}

export interface Listener {
  state?(state: State, refusal: Refusal | null): void;
  /** A new session, or the same one after a break (`resumed`). */
  welcome?(welcome: Welcome): void;
  frame?(frame: Frame): void;
}

/** `live`: of the present moment; sent late, it would keep the face late. */
type Outgoing =
  | { kind: "sound"; live: boolean; time: number; samples: Float32Array }
  | { kind: "rows"; live: true; time: number; row: Float32Array }
  | { kind: "event"; live: false; event: { event: string; [key: string]: unknown } };

/** Closes that trying again does not mend. */
const FINAL = new Map([
  [4400, "malformed"], [4401, "token"], [4403, "origin"], [4406, "version"], [4409, "taken"],
]); // prettier-ignore
const RETRY_S = [0.2, 0.5, 1, 2, 4];
const SILENT_S = 8;
const CONNECT_S = 15;
/** Frames kept for sending again: a little more than 10 s of sound in 20 ms blocks. */
const KEPT = 640;
/** Sound that waits for the first connection, and for one that broke: the face would stay late by what comes late. */
const WAITING_S = 2;
const BROKEN_S = 0.2;
/** Where more bytes than this wait in the socket, what is live is left out: as much sound as after a break. */
const CROWDED_BYTES = BROKEN_S * SAMPLE_HZ * Int16Array.BYTES_PER_ELEMENT;

export type SocketMaker = (address: string) => WebSocket;

export class Connection {
  state: State = "closed";
  welcome: Welcome | null = null;
  private socket: WebSocket | null = null;
  private waiting: Outgoing[] = [];
  private sent: { sequence: number; bytes: ArrayBuffer; live: boolean; at: number }[] = [];
  private sequence = 0;
  private last = 0;
  private attempts = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setInterval> | undefined;
  private heard = 0;
  private refused: Refusal | null = null;
  private wanted = false;

  /** `address`: `ws://…/v1/live`. */
  constructor(
    readonly address: string,
    private hello: Hello,
    private readonly listener: Listener,
    private readonly make: SocketMaker = (to) => new WebSocket(to),
  ) {}

  open(): void {
    this.wanted = true;
    this.attempts = 0;
    this.refused = null;
    this.connect();
  }

  /** Ends the session and begins another, with other wishes. */
  restart(hello: Hello): void {
    this.leave();
    this.hello = hello;
    this.forget();
    this.open();
  }

  /** Says goodbye; the server keeps nothing. */
  close(): void {
    this.wanted = false;
    this.leave();
    this.forget();
    this.tell("closed", null);
  }

  /** `live`: a microphone's. The server fills what is left out of it by `time`. */
  sound(samples: Float32Array, time: number, live = false): void {
    this.send({ kind: "sound", live, samples, time });
  }

  captured(row: Float32Array, time: number): void {
    if (this.state === "live") this.send({ kind: "rows", live: true, row, time });
  }

  event(event: { event: string; [key: string]: unknown }): void {
    this.send({ kind: "event", live: false, event });
  }

  /** Wishes for the next session, where this one cannot be gone on with. */
  wish(hello: Hello): void {
    this.hello = hello;
  }

  /** Another program feeds the session; a word from here would end the connection. */
  get watching(): boolean {
    return this.hello.watch !== undefined;
  }

  private send(what: Outgoing): void {
    if (this.watching) return;
    if (this.state === "live") {
      if (!what.live || (this.socket?.bufferedAmount ?? 0) <= CROWDED_BYTES) this.dispatch(what);
    } else if (this.wanted) {
      this.waiting.push(what);
      const sound = this.waiting.filter((one) => one.kind === "sound").reduce((sum, one) => sum + one.samples.length, 0);
      const most = this.welcome === null ? WAITING_S : BROKEN_S;
      if (sound > most * SAMPLE_HZ) this.waiting.splice(this.waiting.findIndex((one) => one.kind === "sound"), 1);
    }
  }

  private dispatch(what: Outgoing): void {
    const sequence = ++this.sequence;
    let bytes: ArrayBuffer;
    if (what.kind === "sound") bytes = encodeSound(what.samples, sequence, what.time);
    else if (what.kind === "rows") bytes = encodeRows([what.row], [what.time], sequence);
    else bytes = encodeEvent(what.event, sequence);
    this.sent.push({ sequence, bytes, live: what.live, at: Date.now() });
    if (this.sent.length > KEPT) this.sent.shift();
    this.socket?.send(bytes);
  }

  private connect(): void {
    clearTimeout(this.retry);
    this.tell(this.welcome === null && this.attempts === 0 ? "connecting" : "broken", null);
    let socket: WebSocket;
    try {
      socket = this.make(this.address);
    } catch {
      this.tell("closed", { code: "address", message: `${this.address} is no address of a server.` });
      return;
    }
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heard = Date.now();
    let welcomed = false;
    clearInterval(this.watchdog);
    this.watchdog = setInterval(() => {
      const silent = (Date.now() - this.heard) / 1000;
      if (silent > (welcomed ? SILENT_S : CONNECT_S)) this.lost(socket, 1006, "");
      else if (welcomed && silent > SILENT_S / 4) socket.send(encodePing(new Uint8Array(0)));
    }, 1000);
    socket.onopen = () => socket.send(JSON.stringify(this.greeting()));
    socket.onclose = (event) => this.lost(socket, event.code, event.reason);
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== this.socket) return;
      this.heard = Date.now();
      if (typeof event.data !== "string") this.received(event.data);
      else if (!welcomed) welcomed = this.greeted(event.data);
    };
  }

  private greeting(): Record<string, unknown> {
    const resume = this.welcome === null || this.hello.watch !== undefined ? {} : { resume: { session: this.welcome.session, last: this.last } };
    return { kouxing: VERSION, ...this.hello, ...resume };
  }

  private greeted(text: string): boolean {
    const answer = JSON.parse(text) as Partial<Welcome> & { error?: Refusal; code?: string; message?: string };
    if (answer.session === undefined) {
      const told = answer.error ?? answer;
      this.refused = { code: String(told.code ?? "refused"), message: String(told.message ?? "The server refused the connection.") };
      return false;
    }
    const welcome = answer as Welcome;
    if (!welcome.resumed) {
      this.sequence = 0;
      this.last = 0;
      this.sent = [];
    }
    this.welcome = welcome;
    this.attempts = 0;
    const late = Date.now() - BROKEN_S * 1000;
    for (const one of this.sent) if (one.sequence > welcome.received && !(one.live && one.at < late)) this.socket?.send(one.bytes);
    this.tell("live", null);
    this.listener.welcome?.(welcome);
    for (const one of this.waiting.splice(0)) this.dispatch(one);
    return true;
  }

  private received(bytes: ArrayBuffer): void {
    let frame: Frame | null;
    try {
      frame = decode(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.refused = { code: "malformed", message: `The server sent something unreadable: ${error.message}.` };
      this.socket?.close(4400);
      return;
    }
    if (frame === null || frame.type === PONG) return;
    if (frame.type === PING) {
      this.socket?.send(encodePing(frame.payload, true));
      return;
    }
    // Frames without a number are for now only, and are never sent again.
    if (frame.sequence > 0) {
      if (frame.sequence <= this.last) return;
      this.last = frame.sequence;
    }
    if (frame.type === EVENT && frame.event.event === "error" && frame.event["fatal"] === true) {
      this.refused = { code: String(frame.event["code"]), message: String(frame.event["message"]) };
    }
    this.listener.frame?.(frame);
  }

  private lost(socket: WebSocket, code: number, reason: string): void {
    if (socket !== this.socket) return;
    this.drop();
    if (!this.wanted) return;
    const refusal = this.refused;
    this.refused = null;
    const final = FINAL.get(code);
    if (final !== undefined || code === 1000) {
      this.wanted = false;
      this.welcome = null;
      this.tell("closed", refusal ?? { code: final ?? "over", message: reason || "The server ended the session." });
      return;
    }
    // The session is over, or the server was started anew: begin another one.
    if (code === 4404) this.forget();
    const wait = RETRY_S[Math.min(this.attempts++, RETRY_S.length - 1)] as number;
    this.tell("broken", refusal);
    this.retry = setTimeout(() => this.connect(), wait * 1000 * (0.8 + 0.4 * Math.random()));
  }

  private leave(): void {
    if (this.state === "live") this.dispatch({ kind: "event", live: false, event: { event: "bye" } });
    this.drop();
  }

  private drop(): void {
    clearTimeout(this.retry);
    clearInterval(this.watchdog);
    const socket = this.socket;
    this.socket = null;
    if (socket !== null) {
      socket.onopen = socket.onclose = socket.onmessage = null;
      socket.close();
    }
  }

  private forget(): void {
    this.welcome = null;
    this.sequence = 0;
    this.last = 0;
    this.sent = [];
    this.waiting = [];
  }

  private tell(state: State, refusal: Refusal | null): void {
    this.state = state;
    this.listener.state?.(state, refusal);
  }
}
