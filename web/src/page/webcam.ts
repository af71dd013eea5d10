/** The person's face through the webcam: MediaPipe's engine runs in this page, only 52 numbers a picture go to the server. */
import { FaceLandmarker, FilesetResolver } from "@mediapipe/tasks-vision";
import { Euler, Matrix4 } from "three";
import { PLACE, ROW, WIDTH } from "../client/names";

/** A sentence for the person in front of the screen. */
export class WebcamError extends Error {}

const MIRRORED = true;

export class Webcam {
  private stream: MediaStream | null = null;
  private landmarker: FaceLandmarker | null = null;
  private running = false;

  constructor(private readonly video: HTMLVideoElement, private readonly seen: (row: Float32Array) => void) {}

  /**
   * @param model bytes of `face_landmarker.task`
   * @throws WebcamError
   */
  async start(model: Uint8Array): Promise<void> {
    this.landmarker ??= await this.load(model);
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, frameRate: { ideal: 60 }, facingMode: "user" } });
    } catch (error) {
      throw new WebcamError("The webcam could not be opened. Allow it in the browser's address bar, then try again.", { cause: error });
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    this.running = true;
    this.next();
  }

  private async load(model: Uint8Array): Promise<FaceLandmarker> {
    const folder = new URL("./mediapipe/", document.baseURI).href;
    const files = { wasmLoaderPath: `${folder}vision_wasm_internal.js`, wasmBinaryPath: `${folder}vision_wasm_internal.wasm` };
    if (!(await FilesetResolver.isSimdSupported())) throw new WebcamError("This browser is too old for the webcam capture.");
    try {
      return await FaceLandmarker.createFromOptions(files, {
        baseOptions: { modelAssetBuffer: model, delegate: "CPU" },
        runningMode: "VIDEO", numFaces: 1, outputFaceBlendshapes: true, outputFacialTransformationMatrixes: true,
      }); // prettier-ignore
    } catch (error) {
      throw new WebcamError("That file is not MediaPipe's face_landmarker.task.", { cause: error });
    }
  }

  private next(): void {
    if (!this.running) return;
    this.video.requestVideoFrameCallback((now) => {
      if (!this.running || this.landmarker === null) return;
      const found = this.landmarker.detectForVideo(this.video, now);
      const shapes = found.faceBlendshapes[0];
      if (shapes !== undefined) this.seen(row(shapes.categories, found.facialTransformationMatrixes[0]?.data));
      this.next();
    });
  }

  stop(): void {
    this.running = false;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }
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
