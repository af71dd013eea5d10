/** What waits for a connection: much before the first, little for one that broke. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection } from "../src/client/connection";
import { EVENT } from "../src/client/protocol";
import { Socket } from "./socket";

const BLOCK = 320;
const WELCOME = { kouxing: 1, session: "a", resumed: false, received: 0, time: 0 };

describe("sound that waits", () => {
  const sockets: Socket[] = [];
  const made = (): WebSocket => {
    sockets.push(new Socket());
    return sockets[sockets.length - 1] as unknown as WebSocket;
  };
  const live = (resumed = false, received = 1000): Socket => {
    const socket = sockets[sockets.length - 1] as Socket;
    socket.onopen?.();
    socket.onmessage?.({ data: JSON.stringify({ ...WELCOME, resumed, received }) });
    return socket;
  };
  const speak = (connection: Connection, first: number, seconds: number, live = false): void => {
    for (let at = first; at < first + seconds * 16000; at += BLOCK) {
      connection.sound(new Float32Array(BLOCK), at, live);
      if (live) vi.advanceTimersByTime(20);
    }
  };

  beforeEach(() => {
    sockets.length = 0;
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

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

  it("is not sent again once it is old, where a microphone gave it", () => {
    const connection = new Connection("ws://localhost/v1/live", {}, {}, made);
    connection.open();
    const first = live();
    speak(connection, 0, 3, true);
    connection.captured(new Float32Array(61), 0);
    connection.event({ event: "end" });
    expect(first.times.length).toBe(150);
    vi.advanceTimersByTime(100);
    first.onclose?.({ code: 1006, reason: "" });
    speak(connection, 48000, 1, true);
    const second = live(true, 10);
    expect(second.frames.map((one) => (one.type === EVENT ? one.event.event : "time" in one ? one.time : null))).toEqual([
      "end", ...Array.from({ length: 10 }, (_, i) => 64000 - BLOCK * (10 - i)),
    ]); // prettier-ignore
    connection.close();
  });

  it("is sent again where a file gave it, and the last of a microphone's", () => {
    const connection = new Connection("ws://localhost/v1/live", {}, {}, made);
    connection.open();
    const first = live();
    vi.spyOn(Math, "random").mockReturnValue(0);
    speak(connection, 0, 1);
    vi.advanceTimersByTime(5000);
    speak(connection, 200000, 0.2, true);
    first.onclose?.({ code: 1006, reason: "" });
    vi.advanceTimersByTime(160);
    const times = live(true, 0).times;
    expect(times.filter((one) => one < 16000).length).toBe(50);
    // Those of the last 0.2 s.
    expect(times.slice(50)).toEqual([202560, 202880]);
    connection.close();
  });

  it("is left out while the network takes no more, where a microphone gives it", () => {
    const connection = new Connection("ws://localhost/v1/live", {}, {}, made);
    connection.open();
    const socket = live();
    socket.bufferedAmount = 6000;
    speak(connection, 0, 0.1, true);
    socket.bufferedAmount = 7000;
    speak(connection, 1600, 0.1, true);
    connection.event({ event: "end" });
    speak(connection, 100000, 0.02);
    socket.bufferedAmount = 0;
    speak(connection, 3200, 0.02, true);
    expect(socket.times).toEqual([0, 320, 640, 960, 1280, 100000, 3200]);
    expect(socket.frames.map((one) => ("sequence" in one ? one.sequence : 0))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
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
