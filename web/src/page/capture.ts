/** The webcam's switch: finds the model on the server or asks for the file, then mixes face and speech. */
import type { Live } from "../client/live";
import { $, notice } from "./dom";
import type { Webcam } from "./webcam";

/** Where a server that was told of the model offers it. */
const MODEL = "v1/models/face_landmarker.task";

export function capture(live: Live): void {
  const box = $<HTMLInputElement>("webcam");
  const mirror = $<HTMLVideoElement>("mirror");
  const picker = $<HTMLInputElement>("task-file");
  let webcam: Webcam | null = null;
  let model: Uint8Array | null = null;

  const start = async (bytes: Uint8Array): Promise<void> => {
    // Loaded late: the engine weighs megabytes and most people never need it.
    const { Webcam, WebcamError } = await import("./webcam");
    webcam ??= new Webcam(mirror, (row) => live.captured(row));
    try {
      await webcam.start(bytes);
      model = bytes;
      $("webcam-task").hidden = true;
      mirror.hidden = false;
      live.mix("either");
    } catch (error) {
      box.checked = false;
      notice(error instanceof WebcamError ? error.message : "The webcam capture could not be started.");
      if (!(error instanceof WebcamError)) console.error(error);
    }
  };

  const stop = (): void => {
    webcam?.stop();
    mirror.hidden = true;
    $("webcam-task").hidden = true;
    live.mix("face");
  };

  box.addEventListener("change", async () => {
    if (!box.checked) return stop();
    model ??= await offered();
    if (model === null) $("webcam-task").hidden = false;
    else await start(model);
  });
  $("task-pick").addEventListener("click", () => picker.click());
  picker.addEventListener("change", async () => {
    const file = picker.files?.[0];
    picker.value = "";
    if (file !== undefined) await start(new Uint8Array(await file.arrayBuffer()));
  });
}

async function offered(): Promise<Uint8Array | null> {
  try {
    const reply = await fetch(new URL(MODEL, document.baseURI));
    return reply.ok ? new Uint8Array(await reply.arrayBuffer()) : null;
  } catch {
    return null;
  }
}
