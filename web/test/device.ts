/** A device whose sound, microphone and permissions obey the test. To be used with false timers. */
import { vi } from "vitest";

export class Track {
  readyState = "live";
  onended: (() => void) | null = null;
  stop(): void {
    this.readyState = "ended";
  }
}

export class Stream {
  readonly track = new Track();
  getTracks(): Track[] {
    return [this.track];
  }
}

class Node {
  readonly posted: unknown[] = [];
  readonly port = { onmessage: null as ((event: { data: unknown }) => void) | null, postMessage: (what: unknown) => void this.posted.push(what) };
  readonly gain = { value: 1 };
  connect(): void {}
  disconnect(): void {}
}

class Worklet extends Node {
  constructor(_context: unknown, readonly name: string) {
    super();
    Device.now.nodes.push(this);
  }
}

/** Its clock stands still while it does not run. */
class Context {
  state = "suspended";
  onstatechange: (() => void) | null = null;
  readonly destination = {};
  readonly audioWorklet = { addModule: () => Promise.resolve() };
  readonly baseLatency = 0;
  readonly outputLatency = 0;
  private ran = 0;
  private since = 0;

  constructor() {
    Device.now.context = this;
  }
  get currentTime(): number {
    return this.ran + (this.state === "running" ? performance.now() / 1000 - this.since : 0);
  }
  become(state: string): void {
    this.ran = this.currentTime;
    this.since = performance.now() / 1000;
    this.state = state;
    this.onstatechange?.();
  }
  async resume(): Promise<void> {
    if (this.state === "closed") throw new DOMException("closed", "InvalidStateError");
    this.become("running");
  }
  async close(): Promise<void> {
    this.become("closed");
  }
  createMediaStreamSource(): Node {
    return new Node();
  }
  decodeAudioData(bytes: ArrayBuffer): Promise<unknown> {
    return Promise.resolve({ duration: bytes.byteLength });
  }
}

class Offline {
  constructor(_channels: number, private readonly length: number) {}
  readonly destination = {};
  startRendering(): Promise<unknown> {
    return Promise.resolve({ getChannelData: () => new Float32Array(this.length).fill(0.5) });
  }
}

export class Device {
  static now: Device;
  context!: Context;
  nodes: Worklet[] = [];
  streams: Stream[] = [];
  /** Answers of the person who is asked for the microphone, oldest first. */
  private asked: { allow: (stream: Stream) => void; refuse: (error: unknown) => void }[] = [];

  /** Takes the place of the browser's; `vi.unstubAllGlobals` ends it. */
  constructor() {
    Device.now = this;
    vi.stubGlobal("AudioContext", Context);
    vi.stubGlobal("OfflineAudioContext", Offline);
    vi.stubGlobal("AudioBufferSourceNode", class extends Node { start(): void {} }); // prettier-ignore
    vi.stubGlobal("AudioWorkletNode", Worklet);
    vi.stubGlobal("GainNode", Node);
    const getUserMedia = (): Promise<Stream> => new Promise((allow, refuse) => this.asked.push({ allow, refuse }));
    vi.stubGlobal("navigator", { mediaDevices: { getUserMedia } });
  }

  get questions(): number {
    return this.asked.length;
  }

  allow(): Stream {
    const stream = new Stream();
    this.streams.push(stream);
    this.asked.shift()?.allow(stream);
    return stream;
  }

  refuse(): void {
    this.asked.shift()?.refuse(new DOMException("", "NotAllowedError"));
  }

  /** The microphones that are open. */
  get open(): number {
    return this.streams.filter((one) => one.track.readyState === "live").length;
  }

  /** 20 ms of sound reach every microphone's worklet that still listens. */
  hear(): void {
    for (const node of this.nodes.filter((one) => one.name === "kouxing-capture")) {
      node.port.onmessage?.({ data: { time: this.context.currentTime, samples: new Float32Array(320).fill(0.5) } });
    }
  }
}
