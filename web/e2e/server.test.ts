/** The page against `kouxing serve` itself: talking, file jobs, video that the server draws. */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launch, moves, open, PATIENCE_MS, ready, visit, watch } from "./browser";
import { medium, PYTHON, serve, type Upload, voice } from "./serve";

const TOKEN = "a-token-for-tests";
/** Jobs give way to everything else on a machine. */
const JOB_MS = 500_000;

let browser: Browser;
let server: ChildProcess;
let address: string;
let page: Page;
let talk: Upload;
let longVoice: Upload;
let dub: Upload;

describe.skipIf(PYTHON === undefined)("the terminal page at kouxing serve", () => {
  beforeAll(async () => {
    talk = { name: "talk.mp4", mimeType: "video/mp4", buffer: readFileSync(medium("talk", "talk.mp4")) };
    longVoice = { name: "voice.wav", mimeType: "audio/wav", buffer: readFileSync(medium("voice", "voice.wav")) };
    browser = await launch();
    [server, address] = await serve("--token", TOKEN);
  });
  afterAll(async () => {
    await browser?.close();
    server?.kill("SIGINT");
  });

  it("asks for the token, then lets a voice move the mouth, and an interruption still it", async () => {
    const complaints: string[] = [];
    page = await visit(browser, address, complaints);
    await page.waitForSelector("#token-dialog[open]");
    await page.fill("#token", TOKEN);
    await page.keyboard.press("Enter");
    await ready(page);

    await page.setInputFiles("#sound-file", longVoice);
    await page.waitForFunction(() => window.kouxing.stage.row[17]! > 0.05);
    expect(await moves(page, 0.05)).toBeGreaterThan(0.05);

    await page.click("#interrupt");
    await page.waitForFunction(() => window.kouxing.stage.row[17]! < 0.02);
    const still = (await watch(page, 1)).map((one) => one.weight);
    expect(Math.max(...still)).toBeLessThan(0.05);
    expect(complaints.filter((one) => !one.includes("4401"))).toEqual([]);
  });

  it("plays the server's video instead, which says what the session hears, and draws here again", async () => {
    await page.waitForSelector("#picture-block:not([hidden])");
    await page.click("[data-picture=avatar]");
    await page.waitForFunction(() => window.kouxing.picture.delay !== null);
    await page.waitForFunction(() => document.querySelector("video")!.videoWidth > 0);
    expect(await page.isVisible("#canvas")).toBe(false);
    expect(await page.isVisible("#video")).toBe(true);
    expect(await page.textContent("#picture-note")).toMatch(/0\.\d s after the sound/);
    expect(await page.evaluate(() => document.getElementById("avatar-block")?.inert)).toBe(true);

    await page.setInputFiles("#sound-file", longVoice);
    // The stream's own sound, not the session's: that one is not to be heard twice.
    const loudness = await page.evaluate(async () => {
      const { context } = window.kouxing.live.sound;
      const meter = new AnalyserNode(context, { fftSize: 2048 });
      context.createMediaStreamSource(document.querySelector("video")!.srcObject as MediaStream).connect(meter);
      const samples = new Float32Array(2048);
      let most = 0;
      for (let i = 0; i < 2000 && most < 0.02; i++) {
        meter.getFloatTimeDomainData(samples);
        most = Math.max(most, ...samples.map(Math.abs));
        await new Promise((wake) => setTimeout(wake, 50));
      }
      return most;
    });
    expect(loudness).toBeGreaterThan(0.02);
    expect(await page.evaluate(() => document.querySelector("video")!.muted)).toBe(false);

    // One's own voice is not played back while one talks.
    await page.keyboard.press("Alt+KeyM");
    await page.waitForFunction(() => document.querySelector("video")!.muted);
    await page.keyboard.press("Alt+KeyM");

    await page.click("[data-picture=drawn]");
    await page.waitForSelector("#canvas", { state: "visible" });
    expect(await page.evaluate(() => document.querySelector("video")!.srcObject)).toBeNull();
    const viewers = async (): Promise<number> => {
      const reply = await fetch(`${address}v1/rtc`, { headers: { Authorization: `Bearer ${TOKEN}` } });
      return ((await reply.json()) as { viewers: number }[]).reduce((sum, one) => sum + one.viewers, 0);
    };
    await expect.poll(viewers, { timeout: PATIENCE_MS }).toBe(0);
  });

  it("makes an animation out of a voice", async () => {
    // Nobody looks at the avatar meanwhile.
    await page.evaluate(() => window.kouxing.stage.rest(true));
    await page.click("#tab-animate");
    await page.setInputFiles("[data-slot=animate-speech]", voice());
    await page.selectOption("#panel-animate select[name=method]", "mouth");
    await page.click("#panel-animate button[type=submit]");
    const link = await page.waitForSelector("#panel-animate a[download]");
    expect(await link.getAttribute("download")).toBe("animation.csv");
    const text = await page.evaluate(async (address) => (await fetch(address)).text(), (await link.getAttribute("href")) as string);
    expect(text).toContain("JawOpen");
  });

  it("dubs a video with another voice, tells how far it is, and shows the dub", async () => {
    await page.click("#tab-dub");
    await page.setInputFiles("[data-slot=dub-face]", talk);
    await page.setInputFiles("[data-slot=dub-speech]", voice());
    await page.evaluate(() => {
      const told = new Set<string>();
      const panel = document.getElementById("panel-dub") as HTMLElement;
      new MutationObserver(() => told.add(panel.querySelector(".words")?.textContent ?? "")).observe(panel, { subtree: true, childList: true, characterData: true });
      Object.assign(window, { told });
    });
    await page.click("#panel-dub button[type=submit]");
    await page.waitForSelector("#panel-dub video", { timeout: JOB_MS });
    const seen = await page.evaluate(async () => {
      const video = document.querySelector<HTMLVideoElement>("#panel-dub video") as HTMLVideoElement;
      if (!(video.readyState >= 1)) await new Promise((done) => (video.onloadedmetadata = done));
      return { width: video.videoWidth, seconds: video.duration, told: [...(window as unknown as { told: Set<string> }).told] };
    });
    expect(seen.width).toBe(256);
    expect(seen.seconds).toBeGreaterThan(4.2);
    expect(seen.seconds).toBeLessThan(4.7);
    expect(seen.told.length).toBeGreaterThan(1);
    expect(await page.getAttribute("#panel-dub a[download]", "download")).toMatch(/\.mp4$/);
    const bytes = await page.evaluate(async () => {
      const link = document.querySelector<HTMLAnchorElement>("#panel-dub a[download]") as HTMLAnchorElement;
      const reader = new FileReader();
      reader.readAsDataURL(await (await fetch(link.href)).blob());
      await new Promise((done) => (reader.onload = done));
      return (reader.result as string).split(",")[1] as string;
    });
    dub = { name: "dub.mp4", mimeType: "video/mp4", buffer: Buffer.from(bytes, "base64") };
  });

  it("measures the dub's lips against its sound, with a plot", async () => {
    await page.click("#tab-score");
    await page.setInputFiles("[data-slot=score-video]", dub);
    await page.click("#panel-score button[type=submit]");
    await page.waitForSelector("#panel-score :is(.verdict, .fault)", { timeout: JOB_MS });
    expect(await page.locator("#panel-score .fault").allTextContents()).toEqual([]);
    expect((await page.textContent("#panel-score .verdict strong"))?.length).toBeGreaterThan(5);
    const plot = await page.evaluate(async () => {
      const picture = document.querySelector<HTMLImageElement>("#panel-score img.paper") as HTMLImageElement;
      await picture.decode();
      return picture.naturalWidth;
    });
    expect(plot).toBeGreaterThan(300);
  });

  it("tells a job's fault in its own words", async () => {
    await page.setInputFiles("[data-slot=score-video]", { name: "no.mp4", mimeType: "video/mp4", buffer: Buffer.from("no video at all") });
    await page.click("#panel-score button[type=submit]");
    const fault = await page.waitForSelector("#panel-score .fault");
    expect((await fault.textContent())?.length).toBeGreaterThan(10);
  });

  it("lets an address bring the token along", async () => {
    const other = await open(browser, `${address}#token=${TOKEN}`, []);
    await other.close();
  });
});
