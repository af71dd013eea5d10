/** The webcam's switch: finds the model on the server or asks for the file, then mixes face and speech. */
import type { Live } from "../client/live";
import { $, announce, notice } from "./dom";
import type { Webcam } from "./webcam";

/** Where a server that was told of the model offers it. */
const MODEL = "v1/models/face_landmarker.task";

export interface Camera {
  /** Switches the camera on with the model's file. */
  take(file: File): Promise<void>;
}

export function capture(live: Live): Camera {
  const box = $<HTMLInputElement>("webcam");
  const mirror = $<HTMLVideoElement>("mirror");
  const picker = $<HTMLInputElement>("task-file");
  let webcam: Webcam | null = null;
  let model: Uint8Array | null = null;

  const start = async (bytes: Uint8Array): Promise<void> => {
    // Loaded late: the engine weighs megabytes and most people never need it.
    const { Webcam, WebcamError } = await import("./webcam");
    webcam ??= new Webcam(mirror, (row) => live.captured(row), lost);
    $("webcam-state").textContent = "Starting the camera …";
    try {
      await webcam.start(bytes);
      if (!box.checked) return stop();
      model = bytes;
      $("webcam-task").hidden = true;
      mirror.hidden = false;
      live.mix("either");
      announce("The camera is on.");
    } catch (error) {
      box.checked = false;
      notice(error instanceof WebcamError ? error.message : "The webcam capture could not be started.");
      if (!(error instanceof WebcamError)) console.error(error);
    } finally {
      $("webcam-state").textContent = "";
    }
  };

  const stop = (): void => {
    webcam?.stop();
    mirror.hidden = true;
    $("webcam-task").hidden = true;
    live.mix("face");
  };

  const lost = (message: string): void => {
    box.checked = false;
    stop();
    notice(message);
  };

  const take = async (file: File): Promise<void> => {
    box.checked = true;
    await start(new Uint8Array(await file.arrayBuffer()));
  };

  box.addEventListener("change", async () => {
    if (!box.checked) return stop();
    model ??= await offered(live.hello.token);
    if (!box.checked) return;
    if (model === null) $("webcam-task").hidden = false;
    else await start(model);
  });
  // Another session knows nothing of the camera.
  live.on("welcome", ({ resumed }) => {
    if (!resumed && webcam?.running === true) live.mix("either");
  });
  $("task-pick").addEventListener("click", () => picker.click());
  picker.addEventListener("change", async () => {
    const file = picker.files?.[0];
    picker.value = "";
    if (file !== undefined) await take(file);
  });
  return { take };
}

async function offered(token: string | undefined): Promise<Uint8Array | null> {
  try {
    const reply = await fetch(new URL(MODEL, document.baseURI), { headers: token === undefined ? {} : { Authorization: `Bearer ${token}` } });
    return reply.ok ? new Uint8Array(await reply.arrayBuffer()) : null;
  } catch {
    return null;
  }
}
