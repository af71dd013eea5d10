/** Coefficient rows waiting to be shown, by their place on the session's clock. */
import { COEFFICIENT_HZ, ROW, SAMPLE_HZ } from "./names";

/** Rows kept behind the shown one: a picture may step back by a few milliseconds when the clock is set anew. */
const KEPT_S = 1;
/** The face goes to rest this long after the last row. */
const HOLD_S = 0.25;
const FADE_S = 0.2;
/** Rows that wait at most: nobody takes them while the page lies in a hidden tab. */
const MOST = 20 * COEFFICIENT_HZ;
const STEP = SAMPLE_HZ / COEFFICIENT_HZ;

export interface Row {
  /** Samples at 16 kHz on the session's clock. */
  place: number;
  /** `[52]`, 0..1, columns as `COEFFICIENTS`; or `[61]` with `ROTATIONS` after them. */
  values: Float32Array;
}

export class Track {
  private rows: Row[] = [];

  get length(): number {
    return this.rows.length;
  }

  /** Place of the last row, or null. */
  get end(): number | null {
    return this.rows.at(-1)?.place ?? null;
  }

  /** Rows may come twice (after a broken connection) or out of order; the later arrival counts. */
  add(row: Row): void {
    let i = this.rows.length;
    while (i > 0 && (this.rows[i - 1] as Row).place > row.place) i--;
    const same = i > 0 && (this.rows[i - 1] as Row).place === row.place;
    this.rows.splice(same ? i - 1 : i, same ? 1 : 0, row);
    if (this.rows.length > MOST) this.rows.shift();
  }

  /** Forgets what would be shown after `place`. */
  cut(place: number): void {
    this.rows = this.rows.filter((row) => row.place <= place);
  }

  clear(): void {
    this.rows = [];
  }

  /**
   * Writes the face at `place` into `into`, `[61]`: between two rows a mixture, long after the last one the resting face.
   * Returns the place of the newest row that took part, or null where there is none.
   */
  at(place: number, into: Float32Array): number | null {
    this.forget(place);
    const next = this.rows.findIndex((row) => row.place > place);
    const after = next < 0 ? undefined : this.rows[next];
    const before = next < 0 ? this.rows.at(-1) : this.rows[next - 1];
    if (before === undefined) {
      if (after === undefined || after.place - place > STEP) {
        into.fill(0);
        return null;
      }
      into.fill(0);
      into.set(after.values);
      return after.place;
    }
    if (after === undefined || after.place - before.place > SAMPLE_HZ * HOLD_S) {
      const old = (place - before.place) / SAMPLE_HZ - HOLD_S;
      const keep = Math.min(1, Math.max(0, 1 - old / FADE_S));
      for (let i = 0; i < ROW; i++) into[i] = keep * (before.values[i] ?? 0);
      return before.place;
    }
    const share = (place - before.place) / (after.place - before.place);
    for (let i = 0; i < ROW; i++) {
      const low = before.values[i] ?? 0;
      into[i] = low + share * ((after.values[i] ?? 0) - low);
    }
    return after.place;
  }

  private forget(place: number): void {
    const old = place - KEPT_S * SAMPLE_HZ;
    let count = 0;
    while (count + 1 < this.rows.length && (this.rows[count + 1] as Row).place < old) count++;
    if (count > 0) this.rows.splice(0, count);
  }
}
