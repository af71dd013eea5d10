/** The page in a real browser, against a small server of our own: fast, and every fault can be made. */
import { readFileSync } from "node:fs";
import type axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launch, open, watch, wav } from "./browser";
import { FakeServer } from "./fake";

declare global {
  interface Window {
    axe: typeof axe;
  }
}

let browser: Browser;
let server: FakeServer;
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  browser = await launch();
  server = await FakeServer.start("../src/kouxing/server/web");
  // One page for all: without a graphics card its first picture takes seconds.
  page = await open(browser, server.address, complaints);
});
afterAll(async () => {
  await browser.close();
  await server.close();
});

/** A second of tone, a second of silence, by turns. */
const voice = (seconds: number): Float32Array =>
  Float32Array.from({ length: 16_000 * seconds }, (_, i) => (Math.floor(i / 16_000) % 2 === 0 ? 0.6 * Math.sin(0.3 * i) : 0));

describe("the terminal page", () => {
  it("moves the avatar's mouth with the sound, and nothing is refused by the page's own policy", async () => {
    await page.setInputFiles("#sound-file", { name: "voice.wav", mimeType: "audio/wav", buffer: wav(voice(25)) });
    await page.waitForFunction(() => window.kouxing.stage.row[17]! > 0.2);
    const began = [...server.sessions.values()].at(-1)?.began_place as number;
    let right = 0;
    let counted = 0;
    // A slow machine draws few pictures a second: go on until there are enough to judge.
    for (let round = 0; round < 10 && counted < 12; round++) {
      for (const { place, weight } of await watch(page, 2)) {
        const second = (place - began) / 16_000;
        if (second < 0.2 || second > 24.8 || Math.abs(second - Math.round(second)) < 0.2) continue;
        counted++;
        if (weight > 0.3 === (Math.floor(second) % 2 === 0)) right++;
      }
    }
    expect(counted).toBeGreaterThanOrEqual(3);
    expect(right / counted).toBeGreaterThan(0.85);
    expect(complaints).toEqual([]);
    await page.keyboard.press("Escape");
  });

  it("survives a dropped connection: the same session goes on, and nothing is lost or told twice", async () => {
    const session = await page.evaluate(() => window.kouxing.live.connection.welcome?.session);
    server.down = true;
    server.cut();
    await page.waitForFunction(() => document.getElementById("status")?.dataset["state"] === "broken");
    await page.fill("#say", "Said while the line was down.");
    await page.keyboard.press("Enter");
    expect(await page.textContent("#status-text")).toBe("Connecting again");
    server.down = false;
    await page.waitForFunction(() => document.getElementById("status")?.dataset["state"] === "live");
    expect(await page.evaluate(() => window.kouxing.live.connection.welcome?.session)).toBe(session);
    expect(server.hellos.at(-1)?.["resume"]).toMatchObject({ session });
    await page.waitForFunction(() => window.kouxing.stage.row[17]! > 0.1);
    expect(server.sessions.get(session as string)?.events.filter((one) => one === "say")).toHaveLength(1);
  });

  it("begins anew where the server has forgotten the session", async () => {
    server.sessions.clear();
    server.down = true;
    server.cut();
    await page.waitForFunction(() => document.getElementById("status")?.dataset["state"] !== "live");
    server.down = false;
    await page.waitForFunction(() => document.getElementById("status")?.dataset["state"] === "live");
    expect(server.hellos.at(-1)?.["resume"]).toBeUndefined();
  });

  it("offers video from the server where there is some, and draws again where it is refused", async () => {
    expect(await page.isVisible("#picture-block")).toBe(false);
    server.rendered = ["footage", "something new"];
    server.sessions.clear();
    server.cut();
    await page.waitForSelector("#picture-block:not([hidden])");
    expect(await page.locator("#picture [role=radio]").allInnerTexts()).toEqual([expect.stringContaining("Drawn here"), expect.stringContaining("Filmed")]);
    await page.focus("[data-picture=drawn]");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => !document.getElementById("notice")?.hidden);
    expect(await page.textContent("#notice-text")).toBe("1 rendered streams run already; try later. The face is drawn here again.");
    expect(server.offers).toEqual([expect.objectContaining({ type: "offer", source: "footage", session: [...server.sessions.keys()].at(-1) })]);
    expect(await page.getAttribute("[data-picture=drawn]", "aria-checked")).toBe("true");
    expect(await page.isVisible("#canvas")).toBe(true);
    expect(await page.isVisible("#video")).toBe(false);
    await page.click("#notice-close");
    const refused = complaints.splice(0);
    expect(refused.every((one) => /503|WebSocket/.test(one))).toBe(true);
  });

  it("speaks text, shows it, and stops at once on Escape", async () => {
    await page.fill("#say", "A long text that would take a while to be said, were it not for the interruption that follows.");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => window.kouxing.stage.row[17]! > 0.1);
    expect(await page.textContent("#caption")).toContain("A long text");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => window.kouxing.stage.row[17]! < 0.02);
    const seen = await watch(page, 1);
    expect(Math.max(...seen.slice(1).map((one) => one.weight))).toBeLessThan(0.02);
    expect(await page.textContent("#caption")).toBe("");
  });

  it("hears the microphone, tells the latency, and falls silent when it is closed", async () => {
    await page.click("#mic");
    const latency = await page.waitForFunction(() => window.kouxing.live.meters.latency);
    expect(await page.getAttribute("#mic", "aria-pressed")).toBe("true");
    expect(await latency.jsonValue()).toBeGreaterThan(90);
    await page.keyboard.press("Alt+KeyM");
    await page.waitForFunction(() => document.getElementById("mic")?.getAttribute("aria-pressed") === "false");
    expect([...server.sessions.values()].at(-1)?.events).toContain("end");
  });

  it("refuses a file that is no avatar in a sentence, and keeps the old one", async () => {
    await page.setInputFiles("#avatar-file", { name: "evil.glb", mimeType: "model/gltf-binary", buffer: Buffer.from("glTF but not really, and too short") });
    await page.waitForFunction(() => !document.getElementById("notice")?.hidden);
    expect(await page.textContent("#notice-text")).toMatch(/Only glTF 2|damaged|not a GLB/);
    expect(await page.evaluate(() => window.kouxing.stage.avatar?.face.names.length)).toBe(52);
  });

  it("can be used by keyboard and screen reader", async () => {
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>("button, input:not([tabindex='-1']), select, textarea, [role=tab], video")]
        .filter((one) => {
          const label = one.getAttribute("aria-label") ?? one.textContent?.trim() ?? "";
          const labels = one instanceof HTMLInputElement || one instanceof HTMLSelectElement || one instanceof HTMLTextAreaElement ? (one.labels?.length ?? 0) : 0;
          return label === "" && labels === 0;
        })
        .map((one) => one.outerHTML.slice(0, 80)),
    );
    expect(nameless).toEqual([]);
    await page.focus("#tab-live");
    await page.keyboard.press("ArrowRight");
    expect(await page.getAttribute("#tab-dub", "aria-selected")).toBe("true");
    expect(await page.isVisible("#panel-dub")).toBe(true);
    expect(await page.isVisible("#panel-live")).toBe(false);
    await page.keyboard.press("ArrowLeft");
    await page.focus("[data-mood=neutral]");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => document.querySelector("[data-method=expression]")?.getAttribute("aria-checked") === "true");
    expect(server.hellos.at(-1)).toMatchObject({ method: "expression", emotion: "happy:0.60" });
  });

  it("has nothing that axe finds wrong: contrast, names, roles, in light and dark", async () => {
    await page.evaluate(() => window.kouxing.stage.rest(true));
    await page.evaluate(readFileSync("node_modules/axe-core/axe.min.js", "utf8"));
    const wrong: string[] = [];
    for (const theme of ["light", "dark"]) {
      await page.evaluate((theme) => (document.documentElement.dataset["theme"] = theme), theme);
      for (const tab of ["dub", "live"]) {
        await page.click(`#tab-${tab}`);
        const found = await page.evaluate(() => window.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
        wrong.push(...found.violations.flatMap((one) => one.nodes.map((node) => `${theme} ${tab} ${one.id}: ${node.html.slice(0, 100)} ${node.failureSummary ?? ""}`)));
      }
    }
    expect(wrong).toEqual([]);
    await page.evaluate(() => window.kouxing.stage.rest(false));
  });

  it("fits a phone: nothing sticks out sideways", async () => {
    await page.setViewportSize({ width: 360, height: 640 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  });
});
