/** The person's face through the webcam: MediaPipe's engine runs in this browser, only 52 numbers a picture go to the server. */
import { Euler, Matrix4 } from "three";
import { PLACE, ROW, WIDTH } from "../client/names";
import type { Answer, Order } from "./webcam-worker";

/** A sentence for the person in front of the screen. */
export class WebcamError extends Error {}

const MIRRORED = true;

export class Webcam {
  running = false;
  private stream: MediaStream | null = null;
  private worker: Worker | null = null;
  private busy = false;
  private turn = 0;

  /** `lost`: told when the camera ends by itself. */
  constructor(
    private readonly video: HTMLVideoElement,
    private readonly seen: (row: Float32Array) => void,
    private readonly lost: (message: string) => void = () => undefined,
  ) {}

  /**
   * @param model bytes of `face_landmarker.task`
   * @throws WebcamError
   */
  async start(model: Uint8Array): Promise<void> {
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (devices === undefined) throw new WebcamError("Browsers give a camera to secure pages only: open this page by https or on localhost.");
    const turn = ++this.turn;
    this.worker ??= await this.load(model);
    let stream: MediaStream;
    try {
      stream = await devices.getUserMedia({ video: { width: 640, height: 480, frameRate: { ideal: 60 }, facingMode: "user" } });
    } catch (error) {
      throw new WebcamError(refusal(error), { cause: error });
    }
    if (turn !== this.turn) return end(stream);
    this.stream = stream;
    for (const track of stream.getTracks()) track.onended = () => this.lost("The webcam was disconnected.");
    this.video.srcObject = stream;
    await this.video.play();
    this.running = true;
    this.next();
  }

  private async load(model: Uint8Array): Promise<Worker> {
    const worker = new Worker(new URL("./webcam-worker.ts", import.meta.url), { type: "module" });
    const answer = await new Promise<Answer>((done) => {
      worker.onmessage = ({ data }: MessageEvent<Answer>) => done(data);
      worker.onerror = (event) => done({ kind: "fault", message: event.message });
      const order: Order = { kind: "load", model, folder: new URL("./mediapipe/", document.baseURI).href };
      worker.postMessage(order);
    });
    if (answer.kind !== "ready") {
      worker.terminate();
      throw new WebcamError("That file is not MediaPipe's face_landmarker.task, or this browser is too old for it.", { cause: answer });
    }
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      this.busy = false;
      if (data.kind === "fault") console.warn(data.message);
      if (this.running && data.kind === "seen" && data.categories !== null) this.seen(row(data.categories, data.pose ?? undefined));
    };
    worker.onerror = (event) => {
      this.busy = false;
      console.warn(event.message);
    };
    return worker;
  }

  /** Pictures that come while one is being looked at are left out: late ones are of no use. */
  private next(): void {
    if (!this.running) return;
    this.video.requestVideoFrameCallback((now) => {
      if (this.running && !this.busy) void this.look(now);
      this.next();
    });
  }

  private async look(time: number): Promise<void> {
    this.busy = true;
    try {
      const picture = await createImageBitmap(this.video);
      const order: Order = { kind: "look", picture, time };
      this.worker?.postMessage(order, [picture]);
    } catch {
      // The camera was switched off meanwhile.
      this.busy = false;
    }
  }

  stop(): void {
    this.turn++;
    this.running = false;
    end(this.stream);
    this.stream = null;
    this.video.srcObject = null;
  }
}

function end(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
}

function refusal(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotFoundError") return "No webcam was found. Plug one in, then try again.";
  if (name === "NotReadableError") return "Another program holds the webcam. Close it there, then try again.";
  return "The webcam could not be opened. Allow it in the browser's address bar, then try again.";
}

/**
 * MediaPipe's 51 by name, and its head's pose (4 x 4, column by column, y up, the camera looking along -z) -> `[61]`.
 * The avatar faces the person like a mirror, so left and right change places.
 */
export function row(categories: { categoryName: string; score: number }[], pose?: readonly number[], mirrored = MIRRORED): Float32Array {
  const values = new Float32Array(ROW);
  if (pose !== undefined) {
    const turn = new Euler().setFromRotationMatrix(new Matrix4().fromArray(pose), "YXZ");
    // Live Link's signs: yaw to the person's right, pitch downwards.
    const side = mirrored ? 1 : -1;
    values.set([side * turn.y, turn.x, side * turn.z], WIDTH);
  }
  for (const { categoryName, score } of categories) {
    const name = !mirrored ? categoryName : swapped(categoryName);
    const place = PLACE[name];
    if (place !== undefined) values[place] = Math.min(1, Math.max(0, score));
  }
  return values;
}

function swapped(name: string): string {
  if (name.endsWith("Left")) return `${name.slice(0, -4)}Right`;
  if (name.endsWith("Right")) return `${name.slice(0, -5)}Left`;
  return name;
}
