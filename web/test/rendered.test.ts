import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Rendered, type RenderedError } from "../src/client/rendered";

const SERVER = "http://127.0.0.1:1/";

/** A connection that comes about as soon as it is answered. */
class Peer {
  static made: Peer[] = [];
  static comes = true;
  iceGatheringState = "complete";
  connectionState = "new";
  localDescription = { sdp: "v=0" };
  onconnectionstatechange: (() => void) | null = null;
  channel = { onclose: null as (() => void) | null, onmessage: null as ((event: { data: unknown }) => void) | null, sent: [] as string[], send: (text: string) => this.channel.sent.push(text) };
  closed = false;

  constructor() {
    Peer.made.push(this);
  }
  createDataChannel = (): object => this.channel;
  addTransceiver = (): void => undefined;
  getReceivers = (): object[] => [];
  createOffer = (): Promise<object> => Promise.resolve({});
  setLocalDescription = (): Promise<void> => Promise.resolve();
  setRemoteDescription = (): Promise<void> => {
    this.become(Peer.comes ? "connected" : "failed");
    return Promise.resolve();
  };
  become(state: string): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
  close(): void {
    this.closed = true;
  }
}

interface Asked {
  method: string;
  path: string;
  body: unknown;
  token: string | undefined;
}

let asked: Asked[];
let refuse: ((path: string) => Response | null) | null;

const video = (): HTMLVideoElement => ({ srcObject: null, muted: false, play: () => Promise.resolve() }) as unknown as HTMLVideoElement;
const calls = (): string[] => asked.map((one) => `${one.method} ${one.path}`);

beforeEach(() => {
  vi.useFakeTimers();
  [asked, refuse, Peer.made, Peer.comes] = [[], null, [], true];
  vi.stubGlobal("RTCPeerConnection", Peer);
  vi.stubGlobal("MediaStream", class { addTrack(): void {} }); // prettier-ignore
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("removeEventListener", () => undefined);
  vi.stubGlobal("fetch", (address: string, how: RequestInit = {}) => {
    const path = address.slice(SERVER.length);
    const headers = how.headers as Record<string, string> | undefined;
    asked.push({ method: how.method ?? "GET", path, body: typeof how.body === "string" ? JSON.parse(how.body) : how.body, token: headers?.["Authorization"] });
    const answer = { sdp: "v=0", type: "answer", id: `viewer${asked.length}`, stream: "s", width: 512, height: 512, delay_ms: 400 };
    return Promise.resolve(refuse?.(path) ?? new Response(JSON.stringify(path.endsWith("speech") ? { seconds: 1.5 } : answer)));
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("a rendered stream", () => {
  it("is asked for with its session and token, orders go to its viewer, and it is hung up", async () => {
    const shown = new Rendered(video(), { server: SERVER, source: "footage", session: () => "abc", token: () => "word" });
    await shown.open();
    expect(asked[0]).toEqual({ method: "POST", path: "v1/rtc", body: { sdp: "v=0", type: "offer", source: "footage", session: "abc" }, token: "Bearer word" });
    expect(shown.state).toBe("live");
    expect(shown.info).toMatchObject({ id: "viewer1", delay_ms: 400, width: 512 });
    expect(await shown.play(new ArrayBuffer(4))).toBe(1.5);
    await shown.interrupt();
    shown.say("hello", "de");
    expect(Peer.made[0]?.channel.sent).toEqual(['{"event":"say","text":"hello","language":"de"}']);
    shown.close();
    expect(calls()).toEqual(["POST v1/rtc", "POST v1/rtc/viewer1/speech", "POST v1/rtc/viewer1/interrupt", "DELETE v1/rtc/viewer1"]);
    expect(Peer.made[0]?.closed).toBe(true);
    expect(() => shown.say("more")).toThrow(/not connected/);
  });

  it("that is refused says why, once, and nothing is left", async () => {
    refuse = () => new Response('{"error": {"code": "busy", "message": "1 rendered streams run already"}}', { status: 503 });
    const shown = new Rendered(video(), { server: SERVER });
    const states: string[] = [];
    shown.on("state", ({ state, fault }) => states.push(`${state} ${fault?.code ?? ""}`));
    await expect(shown.open()).rejects.toMatchObject({ message: "1 rendered streams run already", code: "busy" });
    expect(states).toEqual(["connecting ", "closed busy"]);
    expect(Peer.made[0]?.closed).toBe(true);
  });

  it("that breaks off is asked for again, three times", async () => {
    const shown = new Rendered(video(), { server: SERVER });
    const faults: (RenderedError | null)[] = [];
    shown.on("state", ({ state, fault }) => state === "closed" && faults.push(fault));
    await shown.open();
    Peer.made[0]?.become("disconnected");
    await vi.advanceTimersByTimeAsync(1000);
    Peer.made[0]?.become("connected");
    await vi.advanceTimersByTimeAsync(9000);
    expect(shown.state).toBe("live");

    Peer.made[0]?.channel.onclose?.();
    expect(shown.state).toBe("broken");
    await vi.advanceTimersByTimeAsync(600);
    expect(shown.state).toBe("live");
    expect(Peer.made).toHaveLength(2);

    Peer.comes = false;
    Peer.made[1]?.become("failed");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(Peer.made).toHaveLength(5);
    expect(faults).toEqual([expect.objectContaining({ code: "ice" })]);
    expect(Peer.made.every((one) => one.closed)).toBe(true);
  });

  it("that is closed while it connects stays closed, and its viewer is let go", async () => {
    const shown = new Rendered(video(), { server: SERVER });
    let answer: (reply: Response) => void = () => undefined;
    const slow = vi.fn(() => new Promise<Response>((done) => (answer = done)));
    vi.stubGlobal("fetch", slow);
    const opening = shown.open();
    await vi.advanceTimersByTimeAsync(1000);
    shown.close();
    answer(new Response('{"sdp": "v=0", "id": "late"}'));
    await expect(opening).rejects.toMatchObject({ code: "closed" });
    expect(shown.state).toBe("closed");
    expect(slow).toHaveBeenLastCalledWith(`${SERVER}v1/rtc/late`, expect.objectContaining({ method: "DELETE" }));
  });

  it("is offered only by servers that say so", async () => {
    refuse = () => new Response('["footage", "hologram", "avatar"]');
    expect(await Rendered.sources(SERVER, "word")).toEqual(["footage", "avatar"]);
    expect(asked[0]).toMatchObject({ path: "v1/rtc/sources", token: "Bearer word" });
    refuse = () => new Response("{}", { status: 404 });
    expect(await Rendered.sources(SERVER)).toEqual([]);
    refuse = () => {
      throw new TypeError("no network");
    };
    expect(await Rendered.sources(SERVER)).toEqual([]);
  });
});
