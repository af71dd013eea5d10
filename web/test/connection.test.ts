/** What waits for a connection: much before the first, little for one that broke. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection } from "../src/client/connection";
import { decode, SOUND } from "../src/client/protocol";

const BLOCK = 320;
const WELCOME = { kouxing: 1, session: "a", resumed: false, received: 0, time: 0 };

class Socket {
  sent: (string | ArrayBuffer)[] = [];
  binaryType = "";
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  send(what: string | ArrayBuffer): void {
    this.sent.push(what);
  }
  close(): void {}
  /** Times of the sound that was sent. */
  get times(): number[] {
    return this.sent.flatMap((one) => {
      const frame = typeof one === "string" ? null : decode(one);
      return frame?.type === SOUND ? [frame.time] : [];
    });
  }
}

describe("sound that waits", () => {
  const sockets: Socket[] = [];
  const made = (): WebSocket => {
    sockets.push(new Socket());
    return sockets[sockets.length - 1] as unknown as WebSocket;
  };
  const live = (resumed = false): Socket => {
    const socket = sockets[sockets.length - 1] as Socket;
    socket.onopen?.();
    socket.onmessage?.({ data: JSON.stringify({ ...WELCOME, resumed, received: 1000 }) });
    return socket;
  };
  const speak = (connection: Connection, first: number, seconds: number): void => {
    for (let at = first; at < first + seconds * 16000; at += BLOCK) connection.sound(new Float32Array(BLOCK), at);
  };

  beforeEach(() => {
    sockets.length = 0;
    vi.useFakeTimers();
  });
  afterEach(() => vi.useRealTimers());

  it("is sent when the first connection stands, and is the newest after a break", () => {
    const connection = new Connection("ws://localhost/v1/live", {}, {}, made);
    connection.open();
    speak(connection, 0, 1);
    const first = live();
    expect(first.times.length).toBe(50);
    expect(first.times[0]).toBe(0);
    first.onclose?.({ code: 1006, reason: "" });
    speak(connection, 16000, 1.5);
    vi.advanceTimersByTime(1000);
    const second = live(true);
    expect(second).not.toBe(first);
    expect(second.times.length).toBe(10);
    expect(second.times[second.times.length - 1]).toBe(40000 - BLOCK);
    connection.close();
  });

  it("is not what a watcher sends", () => {
    const connection = new Connection("ws://localhost/v1/live", { watch: "a" }, {}, made);
    connection.open();
    connection.event({ event: "interrupt" });
    const socket = live();
    speak(connection, 0, 1);
    connection.event({ event: "mood", mouth: 2 });
    expect(socket.sent.length).toBe(1);
    connection.close();
  });

  it("goes with the wishes that hold now into a session that replaces a lost one", () => {
    const connection = new Connection("ws://localhost/v1/live", { method: "expression" }, {}, made);
    connection.open();
    live().onclose?.({ code: 1006, reason: "" });
    connection.wish({ method: "expression", emotion: "happy:0.80", mouth: 1.6 });
    vi.advanceTimersByTime(1000);
    const hello = JSON.parse(live().sent[0] as string) as Record<string, unknown>;
    expect(hello).toMatchObject({ emotion: "happy:0.80", mouth: 1.6 });
    connection.close();
  });
});
