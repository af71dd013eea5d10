/** The golden byte files that the server's tests read as well. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decode, encodeEvent, encodePing, encodeRows, encodeSound, EVENT, type Frame, PONG, ProtocolError, ROWS, SOUND } from "../src/client/protocol";

const FOLDER = new URL("../../tests/server/golden/", import.meta.url);
interface Golden {
  kind?: number;
  refused?: string;
  time?: number;
  sequence?: number;
  flags?: number;
  samples?: number[];
  times?: number[];
  values?: number[][];
  turns?: number[][];
  event?: unknown;
  bytes?: number[];
}
const INDEX = JSON.parse(readFileSync(new URL("index.json", FOLDER), "utf-8")) as Record<string, Golden>;
const bytesOf = (name: string): ArrayBuffer => {
  const raw = readFileSync(new URL(name, FOLDER));
  return raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength) as ArrayBuffer;
};
const hex = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString("hex");

/** Types beyond this version's are left alone by clients; and some numbers only the server counts. */
const IGNORED = new Set(["bad_type.bin"]);
const SERVERS_AFFAIR = new Set(["bad_sequence.bin"]);

describe("golden files", () => {
  const good = Object.entries(INDEX).filter(([, told]) => told.refused === undefined);
  const bad = Object.entries(INDEX).filter(([, told]) => told.refused !== undefined);

  it("are there", () => {
    expect(good.length).toBeGreaterThanOrEqual(7);
    expect(bad.length).toBeGreaterThanOrEqual(20);
  });

  it.each(good)("%s is read as it was meant", (name, told) => {
    const frame = decode(bytesOf(name)) as Frame;
    expect(frame.type).toBe(told.kind);
    expect([frame.time, frame.sequence, frame.flags]).toEqual([told.time, told.sequence, told.flags]);
    if (frame.type === SOUND) expect([...frame.samples].map((one) => one * 32768)).toEqual(told.samples);
    else if (frame.type === ROWS) {
      expect(frame.times).toEqual(told.times);
      frame.rows.forEach((row, i) => row.forEach((value, k) => expect(value).toBeCloseTo([...(told.values?.[i] ?? []), ...(told.turns?.[i] ?? [])][k] as number, 4)));
    } else if (frame.type === EVENT) expect(frame.event).toEqual(told.event);
    else expect([...frame.payload]).toEqual(told.bytes);
  });

  it.each(good)("%s is written byte for byte", (name) => {
    const frame = decode(bytesOf(name)) as Frame;
    let made: ArrayBuffer;
    if (frame.type === SOUND) made = encodeSound(frame.samples, frame.sequence, frame.time, frame.flags);
    else if (frame.type === ROWS) made = encodeRows(frame.rows, frame.times, frame.sequence, frame.flags, name.includes("u16"));
    else if (frame.type === EVENT) made = encodeEvent(frame.event, frame.sequence, frame.time);
    else made = encodePing(frame.payload, frame.type === PONG, frame.time);
    expect(hex(made)).toBe(hex(bytesOf(name)));
  });

  it.each(bad)("%s is refused", (name) => {
    if (IGNORED.has(name)) expect(decode(bytesOf(name))).toBeNull();
    else if (!SERVERS_AFFAIR.has(name)) expect(() => decode(bytesOf(name))).toThrow(ProtocolError);
  });

  it("cut anywhere, they are refused and nothing else happens", () => {
    for (const [name] of good) {
      const whole = bytesOf(name);
      for (let length = 0; length < whole.byteLength; length += 7) expect(() => decode(whole.slice(0, length))).toThrow(ProtocolError);
    }
  });

  it("with a byte changed, they are read or refused, never more", () => {
    for (const [name] of good) {
      const whole = new Uint8Array(bytesOf(name));
      for (let i = 0; i < whole.length; i += 3) {
        const changed = whole.slice();
        changed[i] = (changed[i] as number) ^ 0xa5;
        try {
          decode(changed.buffer as ArrayBuffer);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }
    }
  });
});
