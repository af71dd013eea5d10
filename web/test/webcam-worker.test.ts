/** The webcam's worker answers each order, and the page goes on after a fault. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Webcam } from "../src/page/webcam";
import type { Answer, Order } from "../src/page/webcam-worker";

const engine = vi.hoisted(() => ({ detectForVideo: (): unknown => ({ facialTransformationMatrixes: [], faceBlendshapes: [] }) }));
vi.mock("@mediapipe/tasks-vision", () => ({ FaceLandmarker: { createFromOptions: async () => engine } }));

const LOAD: Order = { kind: "load", model: new Uint8Array(1), folder: "/" };
const picture = (): ImageBitmap => ({ close: () => undefined }) as ImageBitmap;
const works = engine.detectForVideo;
const fails = (): never => {
  throw new Error("out of memory");
};

let order: (event: { data: Order }) => Promise<void>;
let answered: Answer[];

beforeEach(async () => {
  answered = [];
  engine.detectForVideo = works;
  vi.stubGlobal("addEventListener", (_name: string, heard: typeof order) => (order = heard));
  vi.stubGlobal("postMessage", (answer: Answer) => answered.push(answer));
  vi.resetModules();
  await import("../src/page/webcam-worker");
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("the webcam's worker", () => {
  it("answers a picture that the engine cannot look at", async () => {
    await order({ data: LOAD });
    engine.detectForVideo = fails;
    await order({ data: { kind: "look", picture: picture(), time: 0 } });
    engine.detectForVideo = works;
    await order({ data: { kind: "look", picture: picture(), time: 1 } });
    expect(answered).toEqual([{ kind: "ready" }, { kind: "fault", message: "out of memory" }, { kind: "seen", categories: null, pose: null }]);
  });

  it("is sent the next picture after a fault", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    class Bridge {
      onmessage: ((event: { data: Answer }) => void) | null = null;
      async postMessage(data: Order): Promise<void> {
        await order({ data });
        this.onmessage?.({ data: answered.at(-1) as Answer });
      }
    }
    let show = (_now: number): void => undefined;
    const video = { play: async () => undefined, requestVideoFrameCallback: (due: typeof show) => void (show = due) };
    vi.stubGlobal("Worker", Bridge);
    vi.stubGlobal("document", { baseURI: "http://localhost/" });
    vi.stubGlobal("navigator", { mediaDevices: { getUserMedia: async () => ({ getTracks: () => [] }) } });
    vi.stubGlobal("createImageBitmap", async () => picture());
    const webcam = new Webcam(video as unknown as HTMLVideoElement, () => undefined);
    await webcam.start(new Uint8Array(1));
    engine.detectForVideo = fails;
    show(0);
    await vi.waitUntil(() => warn.mock.calls.length === 1);
    engine.detectForVideo = works;
    show(1);
    await vi.waitUntil(() => answered.length === 3);
    expect(warn).toHaveBeenCalledWith("out of memory");
  });
});
