/**
 * When what is heard and shown. One number, the offset, takes the session's clock to the AudioContext's; sound and face
 * use the same one, so they fit whatever the network does.
 *
 * An utterance sets the offset by its first row: it is shown as soon as it has come, with little time to spare. Whatever
 * comes too late after that moves the offset on.
 */
import { SAMPLE_HZ } from "./names";

/** Spare time beyond the first arrival of an utterance, for what the network will delay a little more. */
const SPARE_S = 0.03;
/** Added to a late arrival, so that not every row moves the clock by a hair. */
const STEP_S = 0.015;
/** Arrivals that tell how much delay is needed now. */
const WINDOW_S = 3;
/** A saving smaller than this is not worth a jump. */
const WORTH_S = 0.02;

export class Playout {
  private offset: number | null = null;
  private seen: { at: number; late: number }[] = [];
  private fresh: { place: number; sound: number } | null = null;
  /** Times something came too late for its moment. */
  late = 0;
  /** Called whenever the offset changes: place 0 is heard at AudioContext time `time`. */
  moved: (time: number, jump: number) => void = () => undefined;

  /** The session's clock shows `place` at AudioContext time `now`; what it holds is shown `delay` seconds later. */
  set(place: number, now: number, delay: number): void {
    this.move(now - place / SAMPLE_HZ + delay);
  }

  /** An utterance begins at `place`: its first row says how soon it can be shown. */
  begin(place: number): void {
    this.fresh = { place, sound: -Infinity };
  }

  /** Something for `place` has come at AudioContext time `now`. */
  arrived(place: number, now: number, sound: boolean): void {
    const late = now - place / SAMPLE_HZ;
    this.seen.push({ at: now, late });
    while (this.seen.length > 0 && (this.seen[0] as { at: number }).at < now - WINDOW_S) this.seen.shift();
    if (this.fresh !== null && place >= this.fresh.place) {
      if (sound) this.fresh.sound = Math.max(this.fresh.sound, late);
      else {
        const wanted = Math.max(late, this.fresh.sound) + SPARE_S;
        this.fresh = null;
        this.move(wanted);
      }
    } else if (this.offset === null) this.move(late + SPARE_S);
    else if (late > this.offset && this.fresh === null) {
      this.late++;
      this.move(late + STEP_S);
    }
  }

  /** The voice rests: what was put off more than the last seconds needed is taken back, unheard. */
  rest(): void {
    if (this.offset === null || this.seen.length < 30) return;
    const needed = Math.max(...this.seen.map((one) => one.late)) + SPARE_S;
    if (this.offset - needed > WORTH_S) this.move(needed);
  }

  /** The clock that times are told by was exchanged for one that shows `seconds` more. */
  shift(seconds: number): void {
    if (this.offset !== null) this.offset += seconds;
    if (this.fresh !== null) this.fresh.sound += seconds;
    this.seen = this.seen.map((one) => ({ at: one.at + seconds, late: one.late + seconds }));
  }

  /** The next arrival sets the offset anew. */
  reset(): void {
    this.offset = null;
    this.fresh = null;
    this.seen = [];
  }

  /** AudioContext time at which `place` is heard, or null before the first arrival. */
  time(place: number): number | null {
    return this.offset === null ? null : place / SAMPLE_HZ + this.offset;
  }

  /** Place that is heard at AudioContext time `time`, or null. */
  place(time: number): number | null {
    return this.offset === null ? null : (time - this.offset) * SAMPLE_HZ;
  }

  private move(offset: number): void {
    const jump = this.offset === null ? 0 : offset - this.offset;
    this.offset = offset;
    this.moved(offset, jump);
  }
}
