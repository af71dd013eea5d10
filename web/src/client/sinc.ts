/** Band-limited reading between samples: what both worklets use to go between 16 kHz and the device's rate. */

/** Samples looked at on either side of the wanted place. */
export const REACH = 12;

const STEPS = 512;

/** Half of a Hann-windowed sinc, `STEPS` points a sample; `cut` 0..1 of the source's Nyquist frequency. */
export function kernel(cut: number): Float32Array {
  const half = new Float32Array(REACH * STEPS + 2);
  for (let i = 0; i < half.length; i++) {
    const x = i / STEPS;
    const angle = Math.PI * x * cut;
    const sinc = i === 0 ? 1 : Math.sin(angle) / angle;
    half[i] = x >= REACH ? 0 : cut * sinc * 0.5 * (1 + Math.cos((Math.PI * x) / REACH));
  }
  return half;
}

/** The value at `place` (in samples, may be fractional) of a sound that `at(index)` tells. */
export function read(at: (index: number) => number, place: number, half: Float32Array): number {
  const first = Math.floor(place) - REACH + 1;
  let sum = 0;
  for (let i = first; i < first + 2 * REACH; i++) {
    const where = Math.abs(place - i) * STEPS;
    const whole = where | 0;
    const low = half[whole] ?? 0;
    sum += at(i) * (low + (where - whole) * ((half[whole + 1] ?? 0) - low));
  }
  return sum;
}

/** Changes a sound's rate piece by piece; in pieces and as a whole it gives the same samples. */
export class Resampler {
  private kept: Float32Array;
  private begin: number;
  private heard = 0;
  private given = 0;
  private readonly half: Float32Array;
  private readonly step: number;

  constructor(fromHz: number, toHz: number) {
    this.step = fromHz / toHz;
    this.half = kernel(Math.min(1, toHz / fromHz) * 0.95);
    this.kept = new Float32Array(REACH);
    this.begin = -REACH;
  }

  /** Index of the next sample that `push` will give, at the new rate. */
  get next(): number {
    return this.given;
  }

  push(samples: Float32Array): Float32Array {
    const sound = new Float32Array(this.kept.length + samples.length);
    sound.set(this.kept);
    sound.set(samples, this.kept.length);
    this.heard += samples.length;
    const ready = Math.max(this.given, Math.floor((this.heard - REACH - 1) / this.step) + 1);
    const out = new Float32Array(ready - this.given);
    const begin = this.begin;
    const at = (index: number): number => sound[index - begin] ?? 0;
    for (let i = 0; i < out.length; i++) out[i] = read(at, (this.given + i) * this.step, this.half);
    this.given = ready;
    const keep = Math.max(0, Math.floor(ready * this.step) - REACH - begin);
    this.kept = sound.slice(keep);
    this.begin = begin + keep;
    return out;
  }
}
