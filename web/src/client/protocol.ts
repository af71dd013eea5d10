/** Frames of docs/protocol.md, version 1: bytes in and out, nothing else. */

export const VERSION = 1;
export const HEADER_BYTES = 20;
export const SOUND = 1;
export const ROWS = 2;
export const EVENT = 3;
export const PING = 4;
export const PONG = 5;

/** Flag of ROWS: the mouth rests. Flag of SOUND: speech that the server made from text. */
export const MARK = 1;

const MOST_SAMPLES = 16_000;
const MOST_ROWS = 600;
const MOST_EVENT = 16_384;
const MOST_PING = 64;
const FULL = 65_535;
const MOST_TIME = 2 ** 53;
const NARROW = 52;
const WIDE = 61;
const MOST_TURN = 2 * Math.PI + 1e-6;

/** The bytes are not what the protocol says; the message tells what is wrong. */
export class ProtocolError extends Error {}

interface Head {
  flags: number;
  sequence: number;
  /** Samples at 16 kHz. */
  time: number;
}

export interface SoundFrame extends Head {
  type: typeof SOUND;
  samples: Float32Array;
}

export interface RowsFrame extends Head {
  type: typeof ROWS;
  width: number;
  /** Absolute, samples at 16 kHz. */
  times: number[];
  /** One `[width]` a row. */
  rows: Float32Array[];
}

export interface EventFrame extends Head {
  type: typeof EVENT;
  event: { event: string; [key: string]: unknown };
}

export interface PingFrame extends Head {
  type: typeof PING | typeof PONG;
  payload: Uint8Array;
}

export type Frame = SoundFrame | RowsFrame | EventFrame | PingFrame;

/**
 * Reads one message; null where its type is one that this version does not know (such are to be ignored).
 *
 * @throws ProtocolError
 */
export function decode(bytes: ArrayBuffer): Frame | null {
  if (bytes.byteLength < HEADER_BYTES) throw new ProtocolError(`a frame of ${bytes.byteLength} bytes; a header has ${HEADER_BYTES}`);
  const view = new DataView(bytes);
  if (view.getUint8(0) !== VERSION) throw new ProtocolError(`version ${view.getUint8(0)}; this client speaks ${VERSION}`);
  const length = view.getUint32(16, true);
  if (length !== bytes.byteLength - HEADER_BYTES) throw new ProtocolError(`payload of ${bytes.byteLength - HEADER_BYTES} bytes, ${length} told`);
  const type = view.getUint8(1);
  const head: Head = { flags: view.getUint16(2, true), sequence: view.getUint32(4, true), time: Number(view.getBigInt64(8, true)) };
  if (type > PONG || type < SOUND) return null;
  if (head.time < 0 || head.time > MOST_TIME) throw new ProtocolError(`time ${head.time}`);
  if (type >= PING && head.sequence !== 0) throw new ProtocolError(`a ping with sequence number ${head.sequence}`);
  if ((head.flags & ~MARK) !== 0 || (head.flags !== 0 && type > ROWS)) throw new ProtocolError(`flags ${head.flags}`);
  if (type === SOUND) return { type, ...head, samples: readSound(view) };
  if (type === ROWS) return { type, ...head, ...readRows(view, head.time) };
  if (type === EVENT) return { type, ...head, event: readEvent(bytes) };
  if (length > MOST_PING) throw new ProtocolError(`a ping of ${length} bytes; ${MOST_PING} are the most`);
  return { type: type === PING ? PING : PONG, ...head, payload: new Uint8Array(bytes, HEADER_BYTES) };
}

function readSound(view: DataView): Float32Array {
  const bytes = view.byteLength - HEADER_BYTES;
  if (bytes === 0 || bytes % 2 !== 0 || bytes / 2 > MOST_SAMPLES) throw new ProtocolError(`sound of ${bytes} bytes`);
  const samples = new Float32Array(bytes / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(HEADER_BYTES + 2 * i, true) / 32_768;
  return samples;
}

function readRows(view: DataView, time: number): { width: number; times: number[]; rows: Float32Array[] } {
  if (view.byteLength < HEADER_BYTES + 4) throw new ProtocolError("rows without their head");
  const count = view.getUint16(HEADER_BYTES, true);
  const width = view.getUint8(HEADER_BYTES + 2);
  const encoding = view.getUint8(HEADER_BYTES + 3);
  if (count < 1 || count > MOST_ROWS || !(width === NARROW ? encoding <= 1 : width === WIDE && encoding === 0)) throw new ProtocolError(`${count} rows of ${width}, encoding ${encoding}`);
  const size = encoding === 0 ? 4 : 2;
  const wanted = HEADER_BYTES + 4 + 4 * count + count * width * size;
  if (view.byteLength !== wanted) throw new ProtocolError(`${count} rows in ${view.byteLength} bytes instead of ${wanted}`);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const after = view.getUint32(HEADER_BYTES + 4 + 4 * i, true);
    if (i === 0 ? after !== 0 : time + after < (times[i - 1] as number)) throw new ProtocolError("row times that go back");
    times.push(time + after);
  }
  const rows: Float32Array[] = [];
  let at = HEADER_BYTES + 4 + 4 * count;
  for (let i = 0; i < count; i++) {
    const row = new Float32Array(width);
    for (let k = 0; k < width; k++, at += size) {
      const value = encoding === 0 ? view.getFloat32(at, true) : view.getUint16(at, true) / FULL;
      // Written so that NaN fails too.
      const fits = k < NARROW ? value >= 0 && value <= 1 : Math.abs(value) <= MOST_TURN;
      if (!fits) throw new ProtocolError(`${value} in a row`);
      row[k] = value;
    }
    rows.push(row);
  }
  return { width, times, rows };
}

function readEvent(bytes: ArrayBuffer): EventFrame["event"] {
  if (bytes.byteLength - HEADER_BYTES > MOST_EVENT) throw new ProtocolError("an event that is too long");
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes, HEADER_BYTES)));
  } catch {
    throw new ProtocolError("an event that is no JSON");
  }
  if (!whole(found)) throw new ProtocolError("an event with halves of characters or endless numbers");
  if (typeof found !== "object" || found === null || typeof (found as { event?: unknown }).event !== "string") {
    throw new ProtocolError("an event without a name");
  }
  return found as EventFrame["event"];
}

/** JSON may hold what is no text (half of a surrogate pair) and no number (1e999). */
function whole(value: unknown): boolean {
  if (typeof value === "string") return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value);
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([key, one]) => whole(key) && whole(one));
}

function framed(type: number, sequence: number, time: number, flags: number, payload: number): DataView {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + payload));
  view.setUint8(0, VERSION);
  view.setUint8(1, type);
  view.setUint16(2, flags, true);
  view.setUint32(4, sequence, true);
  view.setBigInt64(8, BigInt(Math.round(time)), true);
  view.setUint32(16, payload, true);
  return view;
}

/** `samples`: -1..1, at most one second; clipped and rounded to 16 bits. */
export function encodeSound(samples: Float32Array, sequence: number, time: number, flags = 0): ArrayBuffer {
  const view = framed(SOUND, sequence, time, flags, 2 * samples.length);
  for (let i = 0; i < samples.length; i++) {
    view.setInt16(HEADER_BYTES + 2 * i, Math.max(-32_768, Math.min(32_767, Math.round((samples[i] as number) * 32_768))), true);
  }
  return view.buffer as ArrayBuffer;
}

/** `times`: absolute, samples at 16 kHz; `small`: 16-bit numbers instead of float32. */
export function encodeRows(rows: Float32Array[], times: number[], sequence: number, flags = 0, small = false): ArrayBuffer {
  const width = rows[0]?.length ?? 0;
  const size = small ? 2 : 4;
  const begin = times[0] ?? 0;
  const view = framed(ROWS, sequence, begin, flags, 4 + 4 * rows.length + rows.length * width * size);
  view.setUint16(HEADER_BYTES, rows.length, true);
  view.setUint8(HEADER_BYTES + 2, width);
  view.setUint8(HEADER_BYTES + 3, small ? 1 : 0);
  times.forEach((time, i) => view.setUint32(HEADER_BYTES + 4 + 4 * i, time - begin, true));
  let at = HEADER_BYTES + 4 + 4 * rows.length;
  for (const row of rows) {
    for (let k = 0; k < width; k++, at += size) {
      const value = row[k] ?? 0;
      if (small) view.setUint16(at, Math.round(Math.min(1, Math.max(0, value)) * FULL), true);
      else view.setFloat32(at, value, true);
    }
  }
  return view.buffer as ArrayBuffer;
}

export function encodeEvent(event: { event: string; [key: string]: unknown }, sequence: number, time = 0): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(event));
  if (text.length > MOST_EVENT) throw new ProtocolError(`an event of ${text.length} bytes; ${MOST_EVENT} are the most`);
  const view = framed(EVENT, sequence, time, 0, text.length);
  new Uint8Array(view.buffer).set(text, HEADER_BYTES);
  return view.buffer as ArrayBuffer;
}

export function encodePing(payload: Uint8Array, pong = false, time = 0): ArrayBuffer {
  const view = framed(pong ? PONG : PING, 0, time, 0, payload.length);
  new Uint8Array(view.buffer).set(payload, HEADER_BYTES);
  return view.buffer as ArrayBuffer;
}

/** The answer to a hello. */
export interface Welcome {
  kouxing: number;
  session: string;
  resumed: boolean;
  received: number;
  time: number;
  method: string;
  look_ahead_ms: number;
  lead_ms: number;
  keep_s: number;
  coefficients: string[];
  output: string[];
  limits: { message_bytes: number; messages_hz: number; queue_s: number; text_chars: number };
}

/** What a client asks for in its first message. */
export interface Hello {
  token?: string;
  method?: "mouth" | "expression";
  emotion?: string | string[];
  mouth?: number;
  output?: ("coefficients" | "sound" | "body")[];
  encoding?: "float32" | "u16";
  language?: string;
  idle?: boolean;
  seed?: number;
  watch?: string;
  /** Rows of 61 numbers are understood. */
  rotations?: boolean;
}
