/** A live session: speech or text in, a face and its sound at the right moment out. What pages and elements build upon. */
import { Connection, type Refusal, type State } from "./connection";
import { PLACE, ROW, SAMPLE_HZ } from "./names";
import { Playout } from "./playout";
import { EVENT, type Frame, type Hello, MARK, ROWS, SOUND, type Welcome } from "./protocol";
import { Sound, SoundError } from "./sound";
import { Track } from "./track";

/** From drawing to seeing: one picture of a 60 Hz screen. */
const DISPLAY_S = 1 / 60;
/** Before the first utterance nothing tells the delay; the look-ahead and this much are enough. */
const FIRST_SPARE_S = 0.05;
/** A jump of the clock larger than this is hidden by a short cross-fade of the face. */
const SEEN_JUMP_S = 0.008;
const BLEND_S = 0.12;
/** Sound of a file that is sent before it is due. */
const FEED_AHEAD_S = 4;
const FEED_EVERY_MS = 200;
/** Larger than any gap the server fills with silence: another utterance begins. */
const APART = 10 * SAMPLE_HZ;
/** Jaw opening from which a mouth is seen to move. */
const MOVES = 0.04;
const METER_ROWS = 180;
/** Captured bones are told 30 times a second; those that are older than this are no longer true. */
const BODY_S = 0.5;
const MOST_BODIES = 90;

export interface Meters {
  /** Microphone to picture, milliseconds: median of the last seconds, and the last values, newest last. */
  latency: number | null;
  history: readonly number[];
  /** From "say" to the first moving lip, milliseconds. */
  text: number | null;
  /** Place shown against place heard, milliseconds; positive: the lips are ahead. */
  skew: number | null;
  /** Times that something came too late. */
  late: number;
  /** What the server or the way lost, by kind. */
  dropped: Readonly<Record<string, number>>;
}

export type Source = "microphone" | "file" | "text" | "elsewhere";

export interface LiveEvents {
  state: { state: State; refusal: Refusal | null };
  welcome: Welcome;
  /** Somebody speaks, or all is at rest. */
  speaking: { speaking: boolean; source: Source };
  /** What is being said, where it was text. */
  text: { text: string };
  /** Loudness of the microphone, 0..1. */
  level: { level: number };
  /** The source of sound began or ended. */
  source: { source: Source | null; left: number };
  /** A sentence for the person in front of the screen. */
  error: { message: string };
  mood: { emotion: unknown; mouth: unknown };
  body: { bones: Bones };
}

/** Captured bones by Unity's names: position and quaternion `[px, py, pz, qx, qy, qz, qw]`, in Unity's axes. */
export type Bones = Readonly<Record<string, readonly number[]>>;

export interface LiveOptions {
  /** `http(s)://` or `ws(s)://` address of the server; the page's own by default. */
  server?: string;
  token?: string;
  hello?: Hello;
  /** Plays the session's sound, else only shows the face. */
  audible?: boolean;
}

/** `ws(s)://HOST/v1/live` of a server's page address. */
export function liveAddress(server: string): string {
  const address = new URL("v1/live", server.endsWith("/") ? server : `${server}/`);
  address.protocol = address.protocol.replace("http", "ws");
  return address.href;
}

interface Stretch {
  place: number;
  input: number;
  source: Source;
  over: boolean;
}

export class Live {
  readonly sound: Sound;
  readonly playout = new Playout();
  readonly track = new Track();
  readonly connection: Connection;
  /** Play back what the microphone hears. */
  monitor = false;
  hello: Hello;
  private readonly events = new EventTarget();
  private readonly face = new Float32Array(ROW);
  private readonly frozen = new Float32Array(ROW);
  private blend = -Infinity;
  private bodies: { place: number; bones: Bones }[] = [];
  private counter = 0;
  private feeds: { from: number; source: Source; time: number | null }[] = [];
  private stretch: Stretch | null = null;
  private file: { samples: Float32Array; sent: number; timer: ReturnType<typeof setInterval> } | null = null;
  private asked: number | null = null;
  private running = false;
  /** Seconds that the loudspeaker's clock shows more than the page's, as long as it runs. */
  private apart = 0;
  private moved = 0;
  private latencies: number[] = [];
  private textLatency: number | null = null;
  private skew: number | null = null;
  private dropped: Record<string, number> = {};

  constructor(options: LiveOptions = {}) {
    this.sound = Sound.make();
    const audible = options.audible ?? true;
    this.hello = {
      output: ["coefficients", "body", ...(audible ? (["sound"] as const) : [])],
      encoding: "u16",
      rotations: true,
      ...(options.token === undefined ? {} : { token: options.token }),
      ...options.hello,
    };
    this.connection = new Connection(liveAddress(options.server ?? new URL(".", location.href).href), this.hello, {
      state: (state, refusal) => this.tell("state", { state, refusal }),
      welcome: (welcome) => this.welcomed(welcome),
      frame: (frame) => this.framed(frame),
    });
    this.playout.moved = (time, jump) => {
      this.sound.anchored(0, time);
      this.moved = this.sound.context.currentTime;
      if (Math.abs(jump) > SEEN_JUMP_S) {
        this.frozen.set(this.face);
        this.blend = performance.now() / 1000;
      }
    };
    this.sound.changed = () => void this.now();
    this.sound.reported = (report) => {
      const shown = this.playout.place(report.time);
      // A report from before the last move tells of the old timing.
      if (report.time > this.moved + 0.1) this.skew = shown === null ? null : ((shown - report.place) / SAMPLE_HZ) * 1000;
    };
  }

  on<K extends keyof LiveEvents>(name: K, heard: (detail: LiveEvents[K]) => void): () => void {
    const listener = (event: Event): void => heard((event as CustomEvent<LiveEvents[K]>).detail);
    this.events.addEventListener(name, listener);
    return () => this.events.removeEventListener(name, listener);
  }

  private tell<K extends keyof LiveEvents>(name: K, detail: LiveEvents[K]): void {
    this.events.dispatchEvent(new CustomEvent(name, { detail }));
  }

  connect(): void {
    this.connection.open();
  }

  /** Another method, or another token: needs a new session. */
  restart(changes: Hello): void {
    this.stopFile();
    this.hello = { ...this.hello, ...changes };
    this.connection.restart(this.hello);
  }

  async close(): Promise<void> {
    this.stopFile();
    this.connection.close();
    await this.sound.close();
  }

  // What goes in

  /** Opens the microphone, unless `hush` comes before the person allows it. To be called from a click. @throws SoundError */
  async talk(): Promise<void> {
    this.mayFeed();
    this.stopFile();
    this.feed("microphone");
    const open = await this.sound.listen((block) => {
      const feed = this.feeds.at(-1);
      if (feed === undefined || feed.source !== "microphone") return;
      feed.time ??= block.time - (this.counter - feed.from) / SAMPLE_HZ;
      this.push(block.samples, true);
      this.tell("level", { level: Math.min(1, 4 * loudness(block.samples)) });
    });
    if (!open) return;
    this.sound.onMicrophoneEnd(() => {
      this.hush();
      this.tell("error", { message: "The microphone was disconnected." });
    });
    this.tell("source", { source: "microphone", left: Infinity });
  }

  /** Closes the microphone. */
  hush(): void {
    const open = this.sound.listening;
    this.sound.stopListening();
    if (!open) return;
    this.connection.event({ event: "end" });
    this.tell("source", { source: null, left: 0 });
  }

  /** Plays a sound file's bytes. To be called from a click. @throws SoundError */
  async play(bytes: ArrayBuffer): Promise<void> {
    this.mayFeed();
    this.hush();
    await this.wake();
    const samples = await this.sound.decode(bytes);
    this.hush();
    this.stopFile();
    this.asked = performance.now();
    this.textLatency = null;
    this.feed("file");
    this.file = { samples, sent: 0, timer: setInterval(() => this.feedFile(), FEED_EVERY_MS) };
    this.feedFile();
  }

  /** Speaks a text. To be called from a click or a key. @throws SoundError */
  async say(text: string, language?: string): Promise<void> {
    this.mayFeed();
    this.hush();
    this.stopFile();
    await this.wake();
    this.asked = performance.now();
    this.textLatency = null;
    this.connection.event({ event: "say", text, ...(language === undefined ? {} : { language }) });
  }

  /** Stops all that is being said, at once. */
  interrupt(): void {
    if (this.connection.watching) return;
    this.stopFile();
    this.sound.flush();
    this.connection.event({ event: "interrupt" });
  }

  mood(mood: { emotion?: string; mouth?: number }): void {
    this.hello = { ...this.hello, ...mood };
    this.connection.wish(this.hello);
    this.connection.event({ event: "mood", ...mood });
  }

  /** Whose motion moves what: `face`, `either`, `spoken`, `captured`, or by groups: `mouth=either,eyes=spoken`. */
  mix(rules: string): void {
    this.connection.event({ event: "mix", rules });
  }

  /** A captured face (the webcam's), `[52]`. */
  captured(row: Float32Array): void {
    this.connection.captured(row, Math.round((performance.now() / 1000) * SAMPLE_HZ));
  }

  /** Starts the device's sound; browsers allow that in clicks and keys only. */
  async wake(): Promise<void> {
    await this.sound.resume();
    this.now();
  }

  private mayFeed(): void {
    if (this.connection.watching) throw new SoundError("This page watches a session that another program feeds.");
  }

  private feed(source: Source): void {
    this.counter += APART;
    this.feeds = [...this.feeds.slice(-8), { from: this.counter, source, time: null }];
  }

  private push(samples: Float32Array, live: boolean): void {
    this.connection.sound(samples, this.counter, live);
    this.counter += samples.length;
  }

  private feedFile(): void {
    const file = this.file;
    if (file === null || this.connection.state !== "live") return;
    const stretch = this.stretch;
    // While a text is spoken the server takes no sound.
    if (file.sent === 0 && stretch?.source === "text" && !stretch.over) return;
    const from = this.feeds.at(-1)?.from ?? Infinity;
    const begun = stretch !== null && stretch.input >= from ? stretch.place - (stretch.input - from) : null;
    const shown = begun === null ? 0 : Math.max(0, (this.playout.place(this.now()) ?? begun) - begun);
    while (file.sent < file.samples.length && file.sent < shown + FEED_AHEAD_S * SAMPLE_HZ) {
      const block = file.samples.slice(file.sent, file.sent + SAMPLE_HZ / 5);
      file.sent += block.length;
      this.push(block, false);
      if (file.sent >= file.samples.length) this.connection.event({ event: "end" });
    }
    const left = (file.samples.length - shown) / SAMPLE_HZ;
    if (left < -0.2) this.stopFile();
    else this.tell("source", { source: "file", left: Math.max(0, left) });
  }

  /** What the server has heard nothing of yet may still begin. */
  private stopBegun(): void {
    if (this.file !== null && this.file.sent > 0) this.stopFile();
  }

  private stopFile(): void {
    if (this.file === null) return;
    clearInterval(this.file.timer);
    if (this.file.sent < this.file.samples.length) this.connection.event({ event: "end" });
    this.file = null;
    this.tell("source", { source: null, left: 0 });
  }

  // What comes out

  private welcomed(welcome: Welcome): void {
    if (!welcome.resumed) {
      this.track.clear();
      this.bodies = [];
      this.sound.flush();
      this.stretch = null;
      this.stopBegun();
      this.playout.reset();
      this.playout.set(welcome.time, this.now(), welcome.look_ahead_ms / 1000 + FIRST_SPARE_S);
    }
    this.tell("welcome", welcome);
  }

  private framed(frame: Frame): void {
    if (frame.type === ROWS) {
      const now = this.now();
      frame.rows.forEach((values, i) => {
        const place = frame.times[i] as number;
        this.playout.arrived(place, now, false);
        this.track.add({ place, values });
      });
    } else if (frame.type === SOUND) {
      if (this.stretch?.source === "microphone" && !this.monitor && (frame.flags & MARK) === 0) return;
      this.playout.arrived(frame.time, this.now() + this.sound.latency, true);
      this.sound.play(frame.time, frame.samples);
    } else if (frame.type === EVENT) this.happened(frame.event, frame.time);
  }

  private happened(event: { event: string; [key: string]: unknown }, place: number): void {
    if (event.event === "start") {
      const input = typeof event["input"] === "number" ? event["input"] : -1;
      const feed = this.feeds.filter((one) => one.from <= input).at(-1);
      const source: Source = event["source"] === "text" ? "text" : (feed?.source ?? "elsewhere");
      this.stretch = { place, input, source, over: false };
      if (source === "text") this.stopBegun();
      this.playout.begin(place);
      this.latencies = [];
      this.tell("speaking", { speaking: true, source });
    } else if (event.event === "end" || event.event === "silence" || event.event === "speech") {
      if (event.event === "silence") this.playout.rest();
      if (event.event === "end" && this.stretch !== null) this.stretch.over = true;
      this.tell("speaking", { speaking: event.event === "speech", source: this.stretch?.source ?? "elsewhere" });
    } else if (event.event === "interrupt") this.interrupted(place);
    else if (event.event === "text") this.tell("text", { text: String(event["text"] ?? "") });
    else if (event.event === "body") this.embodied(place, (event["bones"] ?? {}) as Bones);
    else if (event.event === "mood") this.tell("mood", { emotion: event["emotion"], mouth: event["mouth"] });
    else if (event.event === "dropped") {
      const what = String(event["what"]);
      this.dropped[what] = (this.dropped[what] ?? 0) + Number(event["count"] ?? 0);
    } else if (event.event === "error") this.tell("error", { message: String(event["message"] ?? "The server had a fault.") });
  }

  private embodied(place: number, bones: Bones): void {
    this.bodies = [...this.bodies.slice(1 - MOST_BODIES), { place, bones }];
    this.tell("body", { bones });
  }

  /** The captured bones that fit the face of `sample`; null where no body is captured. */
  bones(): Bones | null {
    const place = this.playout.place(this.now() + DISPLAY_S);
    if (place === null) return null;
    const due = this.bodies.findIndex((one) => one.place > place);
    const last = due < 0 ? this.bodies.at(-1) : this.bodies[due - 1];
    return last === undefined || place - last.place > BODY_S * SAMPLE_HZ ? null : last.bones;
  }

  private interrupted(place: number): void {
    this.sound.flush();
    this.stopFile();
    this.track.clear();
    this.playout.reset();
    this.playout.set(place, this.now(), 0);
    this.frozen.set(this.face);
    this.blend = performance.now() / 1000;
    this.asked = null;
    if (this.stretch !== null) this.stretch.over = true;
    this.tell("speaking", { speaking: false, source: this.stretch?.source ?? "elsewhere" });
  }

  /** The clock of all timing here: the loudspeaker's while it runs, else the page's. */
  private now(): number {
    const page = performance.now() / 1000;
    const running = this.sound.running;
    const heard = running ? this.sound.heard() : page;
    // The loudspeaker's clock stands still while it is interrupted: how far apart they were is known from before.
    if (running) this.apart = heard - page;
    if (running !== this.running) {
      this.running = running;
      this.playout.shift(running ? this.apart : -this.apart);
      this.moved = this.sound.context.currentTime;
      const zero = this.playout.time(0);
      if (zero !== null) this.sound.anchored(0, zero);
    }
    return heard;
  }

  /** Writes the face that is to be drawn now into `into`, `[61]`: coefficients 0..1, then rotations. To be called once a picture. */
  sample(into: Float32Array): void {
    const now = this.now() + DISPLAY_S;
    const place = this.playout.place(now);
    if (place === null) into.fill(0);
    else if (this.track.at(place, into) !== null) this.measure(place, into);
    const since = (performance.now() / 1000 - this.blend) / BLEND_S;
    if (since < 1) for (let i = 0; i < ROW; i++) into[i] = since * (into[i] ?? 0) + (1 - since) * (this.frozen[i] ?? 0);
    this.face.set(into);
  }

  private measure(place: number, face: Float32Array): void {
    const stretch = this.stretch;
    if (stretch === null || place < stretch.place) return;
    if (this.asked !== null && stretch.source !== "microphone" && (face[PLACE["jawOpen"] as number] ?? 0) > MOVES) {
      this.textLatency = performance.now() - this.asked + 1000 * DISPLAY_S;
      this.asked = null;
    }
    const feed = this.feeds.at(-1);
    if (stretch.source !== "microphone" || !this.sound.listening || feed === undefined || feed.time === null) return;
    const captured = feed.time + (stretch.input + place - stretch.place - feed.from) / SAMPLE_HZ;
    const latency = (this.now() + this.sound.latency + DISPLAY_S - captured) * 1000;
    if (latency < 0 || latency > 5000) return;
    this.latencies.push(latency);
    if (this.latencies.length > METER_ROWS) this.latencies.shift();
  }

  get meters(): Meters {
    const sorted = [...this.latencies].sort((a, b) => a - b);
    return {
      latency: sorted[sorted.length >> 1] ?? null,
      history: this.latencies,
      text: this.textLatency,
      skew: this.sound.running ? this.skew : null,
      late: this.playout.late,
      dropped: this.dropped,
    };
  }
}

function loudness(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.sqrt(sum / Math.max(1, samples.length));
}

export { SoundError };
