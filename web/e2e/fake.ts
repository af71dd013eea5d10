/** A small server that speaks docs/protocol.md: the mouth opens as loud as the sound. For tests without Python. */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { WebSocketServer, type WebSocket } from "ws";
import { COEFFICIENTS, PLACE, SAMPLE_HZ, WIDTH } from "../src/client/names";
import { decode, encodeEvent, encodePing, encodeRows, encodeSound, EVENT, PING, SOUND } from "../src/client/protocol";

const LOOK_AHEAD_S = 0.1;
const TYPES: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm" };

class Session {
  sequence = 0;
  received = 0;
  kept: { sequence: number; bytes: ArrayBuffer }[] = [];
  socket: WebSocket | null = null;
  began = performance.now();
  sound: { place: number; samples: Float32Array }[] = [];
  until = 0;
  counter = 0;
  rows = 0;
  events: string[] = [];
  began_place = 0;
  private readonly timer = setInterval(() => this.tick(), 15);

  constructor(readonly id: string, readonly output: string[]) {}

  now(): number {
    return Math.floor(((performance.now() - this.began) / 1000) * SAMPLE_HZ);
  }

  send(make: (sequence: number) => ArrayBuffer): void {
    const bytes = make(++this.sequence);
    this.kept.push({ sequence: this.sequence, bytes });
    if (this.kept.length > 2000) this.kept.shift();
    this.socket?.send(bytes);
  }

  take(samples: Float32Array, counter: number, source: "sound" | "text"): void {
    const pause = counter - this.counter > 2 * SAMPLE_HZ || this.until < this.now() - SAMPLE_HZ / 2;
    if (pause) {
      const place = Math.max(this.now(), this.until);
      this.until = place;
      this.began_place = place;
      this.send((n) => encodeEvent({ event: "start", source, ...(source === "sound" ? { input: counter } : {}) }, n, place));
    }
    const place = this.until;
    this.sound.push({ place, samples });
    if (this.output.includes("sound")) this.send((n) => encodeSound(samples, n, place, source === "text" ? 1 : 0));
    this.until += samples.length;
    this.counter = counter + samples.length;
  }

  private loudness(place: number): number {
    let sum = 0;
    for (const block of this.sound) {
      const at = place - block.place;
      if (at < -160 || at > block.samples.length) continue;
      for (let i = Math.max(0, at); i < Math.min(block.samples.length, at + 320); i++) sum = Math.max(sum, Math.abs(block.samples[i] as number));
    }
    return sum;
  }

  private tick(): void {
    const end = this.now() - LOOK_AHEAD_S * SAMPLE_HZ;
    const rows: Float32Array[] = [];
    const times: number[] = [];
    for (; Math.floor((this.rows * SAMPLE_HZ) / 60) < end; this.rows++) {
      const place = Math.floor((this.rows * SAMPLE_HZ) / 60);
      const row = new Float32Array(WIDTH);
      row[PLACE["jawOpen"] as number] = Math.min(1, this.loudness(place));
      rows.push(row);
      times.push(place);
    }
    if (rows.length > 0) this.send((n) => encodeRows(rows, times, n, 0, true));
    this.sound = this.sound.filter((block) => block.place + block.samples.length > end - SAMPLE_HZ);
  }

  interrupt(): void {
    this.sound = [];
    this.until = this.now();
    this.send((n) => encodeEvent({ event: "interrupt" }, n, this.now()));
  }

  close(): void {
    clearInterval(this.timer);
  }
}

export class FakeServer {
  readonly sessions = new Map<string, Session>();
  readonly hellos: Record<string, unknown>[] = [];
  /** The network is gone: nobody gets through. */
  down = false;
  /** What `GET /v1/rtc/sources` says. */
  rendered: string[] = [];
  /** What an offer is refused with. */
  refusal = { status: 503, code: "busy", message: "1 rendered streams run already; try later" };
  readonly offers: Record<string, unknown>[] = [];
  private readonly sockets = new Set<WebSocket>();

  private constructor(private readonly http: Server) {}

  static async start(root: string): Promise<FakeServer> {
    const http = createServer((request, reply) => {
      const path = normalize(new URL(request.url ?? "/", "http://x").pathname);
      if (path.startsWith("/v1/rtc")) return server.offered(request, reply);
      try {
        const body = readFileSync(join(root, path.endsWith("/") ? `${path}index.html` : path));
        reply.writeHead(200, { "content-type": TYPES[extname(path) || ".html"] ?? "application/octet-stream" }).end(body);
      } catch {
        reply.writeHead(404).end();
      }
    });
    const server: FakeServer = new FakeServer(http);
    new WebSocketServer({ server: http, path: "/v1/live" }).on("connection", (socket) => server.met(socket));
    await new Promise<void>((done) => http.listen(0, "127.0.0.1", done));
    return server;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}/`;
  }

  /** Breaks every connection as a lost network does. */
  cut(): void {
    for (const socket of this.sockets) socket.terminate();
  }

  async close(): Promise<void> {
    this.cut();
    for (const session of this.sessions.values()) session.close();
    await new Promise((done) => this.http.close(done));
  }

  private offered(request: IncomingMessage, reply: ServerResponse): void {
    const { status, code, message } = this.refusal;
    if (request.method === "GET") return void reply.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(this.rendered));
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      this.offers.push(JSON.parse(body) as Record<string, unknown>);
      reply.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error: { code, message } }));
    });
  }

  private met(socket: WebSocket): void {
    if (this.down) return socket.terminate();
    this.sockets.add(socket);
    socket.binaryType = "arraybuffer";
    let session: Session | null = null;
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("message", (data: ArrayBuffer, binary: boolean) => {
      if (!binary) session = this.hello(socket, JSON.parse(Buffer.from(data).toString()) as Record<string, unknown>);
      else if (session !== null) this.frame(session, socket, data);
    });
  }

  private hello(socket: WebSocket, hello: Record<string, unknown>): Session | null {
    this.hellos.push(hello);
    const resume = hello["resume"] as { session: string; last: number } | undefined;
    const old = resume === undefined ? undefined : this.sessions.get(resume.session);
    if (resume !== undefined && old === undefined) {
      socket.send(JSON.stringify({ event: "error", code: "session", message: "no such session", fatal: true }));
      socket.close(4404);
      return null;
    }
    const session = old ?? new Session(`s${this.hellos.length}`, (hello["output"] as string[] | undefined) ?? ["coefficients"]);
    this.sessions.set(session.id, session);
    session.socket = socket;
    socket.send(JSON.stringify({
      kouxing: 1, session: session.id, resumed: old !== undefined, received: session.received, time: session.now(), method: hello["method"] ?? "mouth",
      sample_hz: SAMPLE_HZ, row_hz: 60, look_ahead_ms: 1000 * LOOK_AHEAD_S, lead_ms: 500, keep_s: 10, coefficients: COEFFICIENTS, output: session.output, encoding: "u16",
      limits: { message_bytes: 65536, messages_hz: 400, queue_s: 30, text_chars: 2000 },
    })); // prettier-ignore
    for (const one of session.kept) if (resume !== undefined && one.sequence > resume.last) socket.send(one.bytes);
    return session;
  }

  private frame(session: Session, socket: WebSocket, data: ArrayBuffer): void {
    const frame = decode(data);
    if (frame === null) return;
    if (frame.type === PING) return socket.send(encodePing(frame.payload, true, session.now()));
    if (frame.sequence <= session.received && frame.sequence > 0) return;
    session.received = Math.max(session.received, frame.sequence);
    if (frame.type === SOUND) session.take(frame.samples, frame.time, "sound");
    if (frame.type !== EVENT) return;
    session.events.push(frame.event.event);
    if (frame.event.event === "interrupt") session.interrupt();
    if (frame.event.event === "say") this.say(session, String(frame.event["text"]));
  }

  /** A hum that swells twice a second, for as long as the text. */
  private say(session: Session, text: string): void {
    const samples = new Float32Array(Math.max(1, text.length / 12) * SAMPLE_HZ);
    for (let i = 0; i < samples.length; i++) samples[i] = (0.35 + 0.2 * Math.sin((4 * Math.PI * i) / SAMPLE_HZ)) * Math.sin(0.06 * i);
    for (let i = 0; i < samples.length; i += 1600) session.take(samples.slice(i, i + 1600), session.counter + (i === 0 ? 100 * SAMPLE_HZ : 0), "text");
    session.send((n) => encodeEvent({ event: "text", text }, n, session.until - samples.length));
  }
}
