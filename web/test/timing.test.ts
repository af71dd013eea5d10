import { describe, expect, it } from "vitest";
import { PLACE, ROW, SAMPLE_HZ, WIDTH } from "../src/client/names";
import { Playout } from "../src/client/playout";
import { Resampler } from "../src/client/sinc";
import { Track } from "../src/client/track";
import { Ring } from "../src/worklets/ring";

const JAW = PLACE["jawOpen"] as number;
const place = (row: number): number => Math.floor((row * SAMPLE_HZ) / 60);
const row = (jaw: number): Float32Array => {
  const values = new Float32Array(WIDTH);
  values[JAW] = jaw;
  return values;
};

describe("track", () => {
  it("mixes neighbours by time", () => {
    const track = new Track();
    track.add({ place: 0, values: row(0) });
    track.add({ place: 1000, values: row(1) });
    const face = new Float32Array(ROW);
    track.at(250, face);
    expect(face[JAW]).toBeCloseTo(0.25);
  });

  it("takes rows twice and out of order, the later arrival counting", () => {
    const track = new Track();
    for (const [at, jaw] of [[533, 0.2], [0, 0], [266, 0.1], [266, 0.9]] as const) track.add({ place: at, values: row(jaw) });
    const face = new Float32Array(ROW);
    track.at(266, face);
    expect(track.length).toBe(3);
    expect(face[JAW]).toBeCloseTo(0.9);
  });

  it("goes to rest when nothing comes any more, and stays small", () => {
    const track = new Track();
    const face = new Float32Array(ROW);
    for (let i = 0; i < 6000; i++) {
      track.add({ place: place(i), values: row(1) });
      track.at(place(i), face);
    }
    expect(track.length).toBeLessThan(80);
    track.at(place(5999) + SAMPLE_HZ * 0.2, face);
    expect(face[JAW]).toBe(1);
    track.at(place(5999) + SAMPLE_HZ, face);
    expect(face[JAW]).toBe(0);
  });

  it("stays small while nobody looks, as in a hidden tab, and keeps the newest", () => {
    const track = new Track();
    for (let i = 0; i < 6000; i++) track.add({ place: place(i), values: row(1) });
    expect(track.length).toBe(1200);
    expect(track.end).toBe(place(5999));
  });

  it("clears turns of the head that the next row does not tell", () => {
    const track = new Track();
    const turned = new Float32Array(ROW);
    turned[WIDTH] = 0.5;
    track.add({ place: 0, values: turned });
    track.add({ place: 266, values: row(0) });
    const face = new Float32Array(ROW);
    track.at(0, face);
    expect(face[WIDTH]).toBeCloseTo(0.5);
    track.at(266, face);
    expect(face[WIDTH]).toBe(0);
  });
});

describe("playout", () => {
  it("shows an utterance as soon as its first row has come, and sound at the same time", () => {
    const playout = new Playout();
    playout.set(0, 0, 0.2);
    playout.begin(16_000);
    playout.arrived(16_000, 1.01, true);
    playout.arrived(16_000, 1.13, false);
    expect(playout.time(16_000)).toBeCloseTo(1.16, 5);
    expect(playout.place(1.16)).toBeCloseTo(16_000, 3);
  });

  it("waits for what comes late, never shows it early, and counts it", () => {
    const playout = new Playout();
    playout.begin(0);
    for (let i = 0; i < 600; i++) {
      const now = i / 60 + 0.1 + (i === 300 ? 0.2 : 0);
      playout.arrived(place(i), now, false);
      expect(playout.time(place(i)) as number).toBeGreaterThanOrEqual(now);
    }
    expect(playout.late).toBe(1);
  });

  it("takes back what was put off, once the voice rests", () => {
    const playout = new Playout();
    playout.begin(0);
    for (let i = 0; i < 600; i++) playout.arrived(place(i), i / 60 + 0.1 + (i === 100 ? 0.4 : 0), false);
    const before = playout.time(0) as number;
    playout.rest();
    expect(before).toBeGreaterThan(0.5);
    expect(playout.time(0)).toBeCloseTo(0.13, 2);
  });

  it("forgets nothing and keeps nothing when the clock is exchanged", () => {
    const playout = new Playout();
    for (let i = 0; i < 600; i++) playout.arrived(place(i), 1000 + i / 60, false);
    playout.shift(-1000);
    for (let i = 600; i < 1200; i++) playout.arrived(place(i), i / 60 + (i < 700 ? 0 : 0.3), false);
    expect(playout.late).toBe(1);
    expect(playout.time(0)).toBeCloseTo(0.315, 3);
    for (let i = 1200; i < 1800; i++) playout.arrived(place(i), i / 60, false);
    playout.rest();
    expect(playout.time(0)).toBeCloseTo(0.03, 3);
  });

  it("keeps sound and face together over ten minutes on a jittery line", () => {
    const playout = new Playout();
    let seed = 1;
    const chance = (): number => (seed = (seed * 16807) % 2147483647) / 2147483647;
    playout.begin(0);
    let heardAt = 0;
    for (let i = 0; i < 36_000; i++) {
      playout.arrived(place(i), i / 60 + 0.1 + 0.02 * chance(), false);
      heardAt = playout.time(place(i)) as number;
      expect(playout.place(heardAt)).toBeCloseTo(place(i), 2);
    }
    expect(playout.late).toBe(0);
    expect(heardAt - 36_000 / 60).toBeLessThan(0.2);
  });
});

describe("resampler", () => {
  const tone = (hz: number, rate: number, seconds: number): Float32Array =>
    Float32Array.from({ length: rate * seconds }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rate));

  it.each([[48_000], [44_100], [16_000], [8_000]])("from %i Hz gives the same in pieces and as a whole", (rate) => {
    const sound = tone(300, rate, 0.5);
    const whole = new Resampler(rate, 16_000).push(sound);
    const pieces = new Resampler(rate, 16_000);
    const joined: number[] = [];
    for (let i = 0; i < sound.length; i += 128) joined.push(...pieces.push(sound.slice(i, i + 128)));
    expect(joined.length).toBe(whole.length);
    whole.forEach((value, i) => expect(joined[i]).toBeCloseTo(value, 5));
  });

  it("keeps a tone and its place, and takes away what 16 kHz cannot hold", () => {
    const low = new Resampler(48_000, 16_000).push(tone(1000, 48_000, 0.5));
    const wanted = tone(1000, 16_000, 0.5);
    for (let i = 200; i < 7000; i++) expect(low[i]).toBeCloseTo(wanted[i] as number, 1);
    const high = new Resampler(48_000, 16_000).push(tone(14_000, 48_000, 0.5));
    expect(Math.max(...high.slice(200, 7000).map(Math.abs))).toBeLessThan(0.02);
  });
});

describe("ring", () => {
  const sound = (length: number, value: number): Float32Array => new Float32Array(length).fill(value);
  const heard = (ring: Ring): number[] => Array.from({ length: ring.until - ring.from }, (_, i) => ring.at(ring.from + i));

  it("does not hear interrupted sound again", () => {
    const ring = new Ring(64);
    ring.store(0, sound(16, 1));
    ring.empty();
    ring.store(6, sound(4, 2));
    expect([ring.from, ring.until]).toEqual([6, 10]);
    expect(heard(ring)).toEqual([2, 2, 2, 2]);
    ring.store(14, sound(2, 3));
    expect(heard(ring)).toEqual([2, 2, 2, 2, 0, 0, 0, 0, 3, 3]);
  });

  it("keeps late blocks and holes in their places, and the newest sound", () => {
    const ring = new Ring(8);
    ring.store(4, sound(2, 1));
    ring.store(8, sound(2, 2));
    expect(heard(ring)).toEqual([1, 1, 0, 0, 2, 2]);
    ring.store(6, sound(2, 3));
    expect(heard(ring)).toEqual([1, 1, 3, 3, 2, 2]);
    ring.store(10, sound(4, 4));
    expect([ring.from, ring.until]).toEqual([6, 14]);
    ring.store(100, sound(2, 5));
    expect([ring.from, heard(ring)]).toEqual([100, [5, 5]]);
  });
});
