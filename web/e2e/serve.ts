/** `kouxing serve` itself, as `make test-web` starts it (KOUXING_PYTHON names the interpreter), and media made by code. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const PYTHON = process.env["KOUXING_PYTHON"];
export const VOICE = "../src/kouxing/assets/demo-voice.flac";

/** MediaPipe's face_landmarker.task, where this machine has it. */
export const LANDMARKER = [process.env["KOUXING_FACE_LANDMARKER"], "../../shared/models/face_landmarker.task"].find((one) => one !== undefined && existsSync(one));

/** Starts a server; its address, and the process that is to be ended by SIGINT. */
export async function serve(...options: string[]): Promise<[ChildProcess, string]> {
  const started = spawn(PYTHON as string, ["-m", "kouxing", "serve", "--port", "0", "--no-browser", "--workers", "1", ...options]);
  const found = await new Promise<string>((done, fail) => {
    let told = "";
    const hear = (text: Buffer): void => {
      told += text.toString();
      const match = /https?:\/\/[\w.:[\]]+/.exec(told);
      if (match !== null) done(`${match[0]}/`);
    };
    started.stdout?.on("data", hear);
    started.stderr?.on("data", hear);
    started.on("exit", () => fail(new Error(`kouxing serve ended: ${told}`)));
  });
  return [started, found];
}

/** Makes a medium in a folder of its own (`e2e/media.py`); the folder goes when the tests end. */
export function medium(kind: "webcam" | "talk" | "voice", name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "kouxing-e2e-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, name);
  const made = spawnSync(PYTHON as string, ["e2e/media.py", kind, path], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`e2e/media.py: ${made.stderr}`);
  return path;
}

export interface Upload {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

export const voice = (): Upload => ({ name: "voice.flac", mimeType: "audio/flac", buffer: readFileSync(VOICE) });
