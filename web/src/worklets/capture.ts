/// <reference path="./worklet.d.ts" />
/** Microphone -> 16 kHz blocks of 20 ms, each with the audio clock's time of its first sample. */
import { Resampler } from "../client/sinc";

const OUT_HZ = 16_000;
const BLOCK = 320;

export interface Captured {
  /** AudioContext seconds at which the first sample was heard. */
  time: number;
  samples: Float32Array;
}

class Capture extends AudioWorkletProcessor {
  private readonly resampler = new Resampler(sampleRate, OUT_HZ);
  private block = new Float32Array(BLOCK);
  private filled = 0;
  private began: number | null = null;
  private sent = 0;
  private open = true;

  constructor() {
    super();
    this.port.onmessage = () => {
      this.open = false;
    };
  }

  process(inputs: Float32Array[][]): boolean {
    const channels = inputs[0];
    if (!this.open) return false;
    if (channels === undefined || channels[0] === undefined) return true;
    this.began ??= currentTime;
    const mono = mixed(channels);
    for (const sample of this.resampler.push(mono)) {
      this.block[this.filled++] = sample;
      if (this.filled === BLOCK) this.send();
    }
    return true;
  }

  private send(): void {
    const block: Captured = { time: (this.began ?? 0) + this.sent / OUT_HZ, samples: this.block };
    this.sent += BLOCK;
    this.port.postMessage(block, [this.block.buffer]);
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
  }
}

function mixed(channels: Float32Array[]): Float32Array {
  const first = channels[0] as Float32Array;
  if (channels.length === 1) return first;
  const mono = new Float32Array(first.length);
  for (const channel of channels) for (let i = 0; i < mono.length; i++) mono[i]! += (channel[i] ?? 0) / channels.length;
  return mono;
}

registerProcessor("kouxing-capture", Capture);
