/** Sound by its place on the session's clock, the newest of it: `from` .. `until` hold what came, holes are silence. */
export class Ring {
  from = 0;
  until = 0;
  private readonly samples: Float32Array;

  /** `size`: samples kept, a power of two. */
  constructor(private readonly size: number) {
    this.samples = new Float32Array(size);
  }

  at(place: number): number {
    return this.samples[place & (this.size - 1)] as number;
  }

  /** From now on it is empty; what lies in it can be read until the next `store`. */
  empty(): void {
    this.from = this.until;
  }

  store(place: number, sound: Float32Array): void {
    const end = place + sound.length;
    if (this.until === this.from || place - this.until >= this.size) {
      // After an interruption the session's time has gone back: nothing of what lies behind it may be heard again.
      this.from = this.until = place;
    } else {
      this.silence(this.until, place);
      this.silence(end, this.from);
    }
    for (let i = 0; i < sound.length; i++) this.samples[(place + i) & (this.size - 1)] = sound[i] as number;
    this.until = Math.max(this.until, end);
    this.from = Math.max(Math.min(this.from, place), this.until - this.size);
  }

  private silence(from: number, until: number): void {
    for (let i = Math.max(from, until - this.size); i < until; i++) this.samples[i & (this.size - 1)] = 0;
  }
}
