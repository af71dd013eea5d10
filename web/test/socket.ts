/** A connection without a network. */
import { decode, EVENT, type Frame, SOUND } from "../src/client/protocol";

export class Socket {
  sent: (string | ArrayBuffer)[] = [];
  binaryType = "";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  send(what: string | ArrayBuffer): void {
    this.sent.push(what);
  }
  close(): void {}
  get frames(): Frame[] {
    return this.sent.flatMap((one) => (typeof one === "string" ? [] : (decode(one) ?? [])));
  }
  /** Times of the sound that was sent. */
  get times(): number[] {
    return this.frames.flatMap((frame) => (frame.type === SOUND ? [frame.time] : []));
  }
  /** Names of the events that were sent. */
  get events(): string[] {
    return this.frames.flatMap((frame) => (frame.type === EVENT ? [frame.event.event] : []));
  }
}
