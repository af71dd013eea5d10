/** A Chromium without a screen, with a false microphone, on a machine without a graphics card. */
import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import type { Stage } from "../src/avatar/stage";
import type { Live } from "../src/client/live";
import type { Picture } from "../src/page/picture";

declare global {
  interface Window {
    kouxing: { live: Live; stage: Stage; picture: Picture };
  }
}

export const PATIENCE_MS = 140_000;
const PLACES = [process.env["CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** `camera`: a file that the false webcam shows (MJPEG or Y4M). */
export function launch(camera?: string): Promise<Browser> {
  const executablePath = PLACES.find((one) => one !== undefined && existsSync(one));
  if (executablePath === undefined) throw new Error("no Chromium; on Debian: apt-get install chromium, or set CHROMIUM=/path");
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--mute-audio",
      "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=user-gesture-required",
      ...(camera === undefined ? [] : [`--use-file-for-fake-video-capture=${camera}`]),
    ], // prettier-ignore
  });
}

/** Opens the page and waits until it is connected and shows its avatar. */
export async function open(browser: Browser, address: string, complaints: string[]): Promise<Page> {
  const page = await visit(browser, address, complaints);
  await ready(page);
  return page;
}

export async function ready(page: Page): Promise<void> {
  const done = (): boolean => window.kouxing?.stage.avatar != null && document.getElementById("status")?.dataset["state"] === "live";
  await page.waitForFunction(done);
}

/** Opens the page small, so that a processor can draw it; `complaints` gathers what the console says. */
export async function visit(browser: Browser, address: string, complaints: string[]): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 420, height: 420 } });
  // Nothing here depends on how fast the machine is.
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(address, { waitUntil: "commit" });
  return page;
}

/** What the avatar shows, with the place of the session that is heard at that moment; one pair a picture. */
export function watch(page: Page, seconds: number, name = "jawOpen"): Promise<{ place: number; weight: number }[]> {
  return page.evaluate(
    ([seconds, name]) =>
      new Promise<{ place: number; weight: number }[]>((done) => {
        const { live, stage } = window.kouxing;
        const seen: { place: number; weight: number }[] = [];
        const until = performance.now() + seconds * 1000;
        const draw = (): void => {
          const clock = live.sound.running ? live.sound.heard() : performance.now() / 1000;
          // Looked at right after the stage has set it, before the next picture.
          seen.push({ place: live.playout.place(clock) ?? -1, weight: stage.avatar?.face.weight(name) ?? -1 });
          if (performance.now() < until) requestAnimationFrame(draw);
          else done(seen);
        };
        requestAnimationFrame(draw);
      }),
    [seconds, name] as const,
  );
}

/** How far a weight of the avatar goes while something is said: looks until it is `enough`, for slow machines draw few pictures. */
export async function moves(page: Page, enough: number, name = "jawOpen"): Promise<number> {
  const weights: number[] = [];
  const range = (): number => Math.max(...weights) - Math.min(...weights);
  for (let round = 0; round < 12 && !(range() > enough); round++) weights.push(...(await watch(page, 2, name)).map((one) => one.weight));
  return range();
}

/** A WAV file, 16 kHz, 16 bits. */
export function wav(samples: Float32Array, hz = 16_000): Buffer {
  const bytes = Buffer.alloc(44 + 2 * samples.length);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(36 + 2 * samples.length, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(hz, 24);
  bytes.writeUInt32LE(2 * hz, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(2 * samples.length, 40);
  samples.forEach((value, i) => bytes.writeInt16LE(Math.round(32_767 * value), 44 + 2 * i));
  return bytes;
}
