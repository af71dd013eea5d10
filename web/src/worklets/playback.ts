/// <reference path="./worklet.d.ts" />
/**
 * Plays the session's sound at the times it bears. Sound lies in a ring by its place on the session's clock; an anchor
 * says which place is heard at which audio-clock time, so a late or lost block leaves a hole and shifts nothing.
 */
import { kernel, read } from "../client/sinc";
import { Ring } from "./ring";

const IN_HZ = 16_000;
const KEPT = 1 << 20; // 65 s
const FADE_S = 0.008;
const REPORT_S = 0.25;

export type PlaybackOrder =
  | { kind: "sound"; place: number; samples: Float32Array }
  | { kind: "anchor"; place: number; time: number }
  | { kind: "flush" };

/** What is heard: at audio-clock `time`, `place` of the session; `level` is the loudness since the last report. */
export interface PlaybackReport {
  time: number;
  place: number;
  level: number;
}

class Playback extends AudioWorkletProcessor {
  private readonly ring = new Ring(KEPT);
  private readonly half = kernel(Math.min(1, sampleRate / IN_HZ));
  private anchor: { place: number; time: number } | null = null;
  private fade: { from: number; until: number; begin: number } | null = null;
  private reported = 0;
  private loud = 0;
  private count = 0;

  constructor() {
    super();
    this.port.onmessage = (event: MessageEvent<PlaybackOrder>) => this.obey(event.data);
  }

  private obey(order: PlaybackOrder): void {
    if (order.kind === "anchor") this.anchor = { place: order.place, time: order.time };
    else if (order.kind === "sound") this.store(order.place, order.samples);
    else {
      // What is being heard fades out instead of clicking.
      this.fade = { from: this.ring.from, until: this.ring.until, begin: currentTime };
      this.ring.empty();
    }
  }

  private store(place: number, samples: Float32Array): void {
    this.fade = null;
    this.ring.store(place, samples);
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const out = outputs[0]?.[0];
    if (out === undefined) return true;
    if (this.anchor !== null) {
      const begin = this.anchor.place + (currentTime - this.anchor.time) * IN_HZ;
      const from = this.fade?.from ?? this.ring.from;
      const until = this.fade?.until ?? this.ring.until;
      if (begin + out.length > from - 16 && begin < until + 16) {
        const at = (index: number): number => (index >= from && index < until ? this.ring.at(index) : 0);
        for (let i = 0; i < out.length; i++) {
          out[i] = this.gain(i) * read(at, begin + (i * IN_HZ) / sampleRate, this.half);
          this.loud += (out[i] as number) ** 2;
        }
      }
      this.count += out.length;
      if (this.fade !== null && currentTime - this.fade.begin > FADE_S) this.fade = null;
      this.report(begin);
    }
    for (const copy of outputs[0]?.slice(1) ?? []) copy.set(out);
    return true;
  }

  private gain(i: number): number {
    if (this.fade === null) return 1;
    return Math.max(0, 1 - (currentTime + i / sampleRate - this.fade.begin) / FADE_S);
  }

  private report(place: number): void {
    if (currentTime - this.reported < REPORT_S) return;
    this.reported = currentTime;
    const report: PlaybackReport = { time: currentTime, place, level: Math.sqrt(this.loud / Math.max(1, this.count)) };
    this.loud = this.count = 0;
    this.port.postMessage(report);
  }
}

registerProcessor("kouxing-playback", Playback);
