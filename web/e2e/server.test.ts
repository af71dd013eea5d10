/** The page against `kouxing serve` itself, as `make test-web` starts it (KOUXING_PYTHON names the interpreter). */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launch, open, ready, visit, watch } from "./browser";

const PYTHON = process.env["KOUXING_PYTHON"];
const VOICE = "../src/kouxing/assets/demo-voice.flac";

let browser: Browser;
let server: ChildProcess;
let address = "";

async function serve(...options: string[]): Promise<[ChildProcess, string]> {
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

describe.skipIf(PYTHON === undefined)("the terminal page at kouxing serve", () => {
  beforeAll(async () => {
    browser = await launch();
    [server, address] = await serve("--token", "a-token-for-tests");
  });
  afterAll(async () => {
    await browser.close();
    server.kill("SIGINT");
  });

  it("asks for the token, then lets a voice move the mouth, and an interruption still it", async () => {
    const complaints: string[] = [];
    const page = await visit(browser, address, complaints);
    await page.waitForSelector("#token-dialog[open]", { timeout: 60_000 });
    await page.fill("#token", "a-token-for-tests");
    await page.keyboard.press("Enter");
    await ready(page);

    await page.setInputFiles("#sound-file", { name: "voice.flac", mimeType: "audio/flac", buffer: readFileSync(VOICE) });
    await page.waitForFunction(() => window.kouxing.stage.row[17]! > 0.05, null, { timeout: 30_000 });
    const speaking = (await watch(page, 3)).map((one) => one.weight);
    expect(Math.max(...speaking) - Math.min(...speaking)).toBeGreaterThan(0.05);

    await page.click("#interrupt");
    await page.waitForTimeout(700);
    const still = (await watch(page, 1)).map((one) => one.weight);
    expect(Math.max(...still)).toBeLessThan(0.05);
    expect(complaints.filter((one) => !one.includes("4401"))).toEqual([]);
    await page.close();
  });

  it("makes an animation out of a voice", async () => {
    const page = await open(browser, `${address}#token=a-token-for-tests`, []);
    await page.click("#tab-animate");
    await page.setInputFiles("[data-slot=animate-speech]", { name: "voice.flac", mimeType: "audio/flac", buffer: readFileSync(VOICE) });
    await page.selectOption("#panel-animate select[name=method]", "mouth");
    await page.click("#panel-animate button[type=submit]");
    const link = await page.waitForSelector("#panel-animate a[download]", { timeout: 80_000 });
    expect(await link.getAttribute("download")).toBe("animation.csv");
    const text = await page.evaluate(async (address) => (await fetch(address)).text(), (await link.getAttribute("href")) as string);
    expect(text).toContain("JawOpen");
    await page.close();
  });

  it("tells a job's fault in its own words", async () => {
    const page = await open(browser, `${address}#token=a-token-for-tests`, []);
    await page.click("#tab-score");
    await page.setInputFiles("[data-slot=score-video]", { name: "no.mp4", mimeType: "video/mp4", buffer: Buffer.from("no video at all") });
    await page.click("#panel-score button[type=submit]");
    const fault = await page.waitForSelector("#panel-score .fault", { timeout: 60_000 });
    expect((await fault.textContent())?.length).toBeGreaterThan(10);
    await page.close();
  });
});
