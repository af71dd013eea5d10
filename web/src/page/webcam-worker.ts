/** MediaPipe's engine beside the page's own thread: looking at a picture takes longer than drawing one. */
import { FaceLandmarker } from "@mediapipe/tasks-vision";

export type Order = { kind: "load"; model: Uint8Array; folder: string } | { kind: "look"; picture: ImageBitmap; time: number };
export type Answer =
  | { kind: "ready" }
  | { kind: "fault"; message: string }
  /** `categories`: null where no face was found. */
  | { kind: "seen"; categories: { categoryName: string; score: number }[] | null; pose: number[] | null };

let landmarker: FaceLandmarker | null = null;

async function load(model: Uint8Array, folder: string): Promise<Answer> {
  const files = { wasmLoaderPath: `${folder}vision_wasm_module_internal.js`, wasmBinaryPath: `${folder}vision_wasm_module_internal.wasm` };
  landmarker = await FaceLandmarker.createFromOptions(files, {
    baseOptions: { modelAssetBuffer: model, delegate: "CPU" },
    runningMode: "VIDEO", numFaces: 1, outputFaceBlendshapes: true, outputFacialTransformationMatrixes: true,
  }); // prettier-ignore
  return { kind: "ready" };
}

function look(picture: ImageBitmap, time: number): Answer {
  try {
    const found = landmarker?.detectForVideo(picture, time);
    const pose = found?.facialTransformationMatrixes[0]?.data;
    return { kind: "seen", categories: found?.faceBlendshapes[0]?.categories ?? null, pose: pose === undefined ? null : [...pose] };
  } finally {
    picture.close();
  }
}

addEventListener("message", async ({ data }: MessageEvent<Order>) => {
  let answer: Answer;
  try {
    answer = data.kind === "load" ? await load(data.model, data.folder) : look(data.picture, data.time);
  } catch (error) {
    // Each order is answered: the page sends no other picture before.
    answer = { kind: "fault", message: error instanceof Error ? error.message : String(error) };
  }
  postMessage(answer);
});
