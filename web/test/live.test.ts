/** A session on a device that is interrupted, with a file that is, and with a microphone that nobody allows. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Live } from "../src/client/live";
import { PLACE, ROW, SAMPLE_HZ, WIDTH } from "../src/client/names";
import { encodeEvent, encodePing, encodeRows } from "../src/client/protocol";
import { Device } from "./device";
import { Socket } from "./socket";

const JAW = PLACE["jawOpen"] as number;
const WELCOME = { kouxing: 1, session: "a", resumed: false, received: 0, time: 0, look_ahead_ms: 100 };

/** Its clock is the page's, from when it was made. */
class Server {
  sockets: Socket[] = [];
  private sequence = 0;
  private row = 0;
  private readonly began = performance.now() / 1000;

  get socket(): Socket {
    return this.sockets.at(-1) as Socket;
  }
  get place(): number {
    return Math.round((performance.now() / 1000 - this.began) * SAMPLE_HZ);
  }
  welcome(resumed = false): void {
    if (!resumed) this.sequence = 0;
    this.socket.onopen?.();
    this.socket.onmessage?.({ data: JSON.stringify({ ...WELCOME, resumed, time: this.place, received: resumed ? 1e6 : 0 }) });
  }
  event(event: { event: string; [key: string]: unknown }, place = this.place): void {
    this.socket.onmessage?.({ data: encodeEvent(event, ++this.sequence, place) });
  }
  /** Time passes, in which the server says no more than that it is there. */
  pass(seconds: number): void {
    for (let i = 0; i < seconds * 10; i++) {
      vi.advanceTimersByTime(100);
      this.socket.onmessage?.({ data: encodePing(new Uint8Array(0)) });
    }
  }
  /** No rows for what was until now. */
  skip(): void {
    this.row = Math.ceil((this.place / SAMPLE_HZ) * 60);
  }
  /** Rows up to now, 0.1 s later than what they show; the jaw is as far open as `jaw` says at a place. */
  rows(jaw: (place: number) => number): void {
    for (; ; this.row++) {
      const place = Math.floor((this.row * SAMPLE_HZ) / 60);
      if (place > this.place - 0.1 * SAMPLE_HZ) return;
      this.socket.onmessage?.({ data: encodeRows([new Float32Array(WIDTH).fill(jaw(place))], [place], ++this.sequence) });
    }
  }
}

let device: Device;
let server: Server;
let live: Live;
let sources: (string | null)[];

beforeEach(() => {
  vi.useFakeTimers();
  vi.advanceTimersByTime(50_000);
  device = new Device();
  vi.stubGlobal("WebSocket", class extends Socket {
    constructor() {
      super();
      server.sockets.push(this);
    }
  }); // prettier-ignore
  server = new Server();
  live = new Live({ server: "http://localhost/" });
  sources = [];
  live.on("source", ({ source }) => sources.push(source));
  live.connect();
});
afterEach(async () => {
  await live.close();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("a microphone", () => {
  it("is not told to be open where it was given up before the person allowed it", async () => {
    server.welcome();
    const talked = live.talk();
    await vi.waitUntil(() => device.questions === 1);
    live.hush();
    device.allow();
    await talked;
    device.hear();
    expect(sources).toEqual([]);
    expect(device.open).toBe(0);
    expect(server.socket.times).toEqual([]);
  });

  it("stays closed where it was given up before the sound was ready", async () => {
    server.welcome();
    const talked = live.talk();
    live.hush();
    await talked;
    expect([device.questions, device.open, sources]).toEqual([0, 0, []]);
  });

  it("is told when it opens, is heard, and is not sent late", async () => {
    server.welcome();
    const talked = live.talk();
    await vi.waitUntil(() => device.questions === 1);
    device.allow();
    await talked;
    expect(sources).toEqual(["microphone"]);
    device.hear();
    expect(server.socket.times.length).toBe(1);
    server.socket.bufferedAmount = 10_000;
    device.hear();
    server.socket.bufferedAmount = 0;
    device.hear();
    const [first, last] = server.socket.times as [number, number];
    expect(last - first).toBe(2 * 320);
    live.hush();
    expect([sources.at(-1), server.socket.events.at(-1), device.open]).toEqual([null, "end", 0]);
  });
});

describe("a file", () => {
  const play = async (seconds: number): Promise<void> => {
    const before = server.socket.times.length;
    await live.play(new ArrayBuffer(seconds));
    const input = server.socket.times[before];
    if (input !== undefined) server.event({ event: "start", source: "sound", input });
    server.pass(1);
  };

  it("plays to its end", async () => {
    server.welcome();
    await play(9);
    expect(sources.at(-1)).toBe("file");
    server.pass(9);
    expect(server.socket.times.length).toBe(45);
    expect(sources.at(-1)).toBe(null);
  });

  it("plays to its end after a break that made the server begin anew in its middle", async () => {
    server.welcome();
    await play(30);
    server.socket.onclose?.({ code: 1006, reason: "" });
    vi.advanceTimersByTime(8000);
    server.welcome(true);
    server.event({ event: "end", source: "sound", reason: "stalled" });
    server.pass(0.2);
    const input = server.socket.times[0] as number;
    server.event({ event: "start", source: "sound", input });
    server.pass(3);
    const sent = (server.socket.times.at(-1) as number) - input;
    // As much ahead as before the break.
    expect(sent / SAMPLE_HZ).toBeGreaterThan(6.5);
    server.pass(24);
    expect(sources.at(-1)).toBe(null);
  });

  it("stops where a text is said", async () => {
    server.welcome();
    await play(30);
    await live.say("Hello");
    expect(sources.at(-1)).toBe(null);
    expect(server.socket.events.slice(-2)).toEqual(["end", "say"]);
  });

  it("stops where somebody else has a text said", async () => {
    server.welcome();
    await play(30);
    server.event({ event: "start", source: "text" });
    expect(sources.at(-1)).toBe(null);
  });

  it("stops where another session begins, and a new one plays there", async () => {
    server.welcome();
    await play(30);
    server.socket.onclose?.({ code: 4404, reason: "" });
    vi.advanceTimersByTime(1000);
    server.welcome();
    expect(sources.at(-1)).toBe(null);
    await play(3);
    server.pass(3);
    expect(server.socket.times.length).toBe(15);
    expect(sources.at(-1)).toBe(null);
  });

  it("waits for the first connection, and for the end of a text", async () => {
    await play(30);
    server.welcome();
    vi.advanceTimersByTime(200);
    expect(server.socket.times.length).toBe(20);
    live.interrupt();
    server.event({ event: "start", source: "text" });
    await live.play(new ArrayBuffer(3));
    vi.advanceTimersByTime(2000);
    expect(server.socket.times.length).toBe(20);
    server.event({ event: "end", source: "text", reason: "end" });
    vi.advanceTimersByTime(200);
    expect(server.socket.times.length).toBe(35);
  });
});

describe("a device whose sound is interrupted", () => {
  /** The jaw shows the place, so that a face tells when it was. */
  const jaw = (place: number): number => (place / SAMPLE_HZ / 10) % 1;
  /** Seconds by which what is shown lies behind the server's present, over the last of `seconds`. */
  const behind = (seconds: number): number => {
    const face = new Float32Array(ROW);
    for (let i = 0; i < seconds * 50; i++) {
      vi.advanceTimersByTime(20);
      server.rows(jaw);
      live.sample(face);
    }
    return (10 + server.place / SAMPLE_HZ - 10 * (face[JAW] as number)) % 10;
  };
  const anchor = (): { time: number } =>
    device.nodes.flatMap((node) => node.posted as { kind: string; time: number }[]).filter((order) => order.kind === "anchor").at(-1) as { time: number };
  /** The same for what the worklet plays. */
  const heardBehind = (): number => server.place / SAMPLE_HZ - (device.context.currentTime - anchor().time);

  it.each([["interrupted", 3.3], ["suspended", 0.4], ["interrupted", 100.1]])("%s for %d s: the face goes on, and its sound in step when it comes back", async (state, seconds) => {
    server.welcome();
    expect(behind(1)).toBeCloseTo(0.15, 1);
    await live.wake();
    const before = behind(2);
    expect(before).toBeCloseTo(0.15, 1);
    expect(heardBehind()).toBeCloseTo(before, 1);
    device.context.become(state);
    expect(behind(seconds)).toBeCloseTo(before, 1);
    device.context.become("running");
    expect(behind(1)).toBeCloseTo(before, 1);
    expect(heardBehind()).toBeCloseTo(before, 1);
  });

  it("is noticed while nothing is drawn and nothing comes", async () => {
    server.welcome();
    await live.wake();
    const before = behind(2);
    device.context.become("suspended");
    vi.advanceTimersByTime(700);
    device.context.become("running");
    server.skip();
    expect(behind(0.3)).toBeCloseTo(before, 1);
  });
});
