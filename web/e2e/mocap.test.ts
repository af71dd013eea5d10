/** Motion capture at `kouxing serve`: a webcam that sees a person, and a suit that speaks VMC, moves a VRM's bones. */
import type { ChildProcess } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeVrm } from "../test/vrm";
import { launch, moves, open } from "./browser";
import { LANDMARKER, medium, PYTHON, serve } from "./serve";

const SMILE = 23;
const ROLL = 54;
const SIN = Math.SQRT1_2;

let browser: Browser;
let server: ChildProcess;
let page: Page;
let vmc: Socket;
let port: number;
const complaints: string[] = [];

/** One OSC message. */
function osc(address: string, ...values: (string | number)[]): Buffer {
  const padded = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(4 - (Buffer.byteLength(text) % 4))]);
  const body = values.map((one) => {
    if (typeof one === "string") return padded(one);
    const bytes = Buffer.alloc(4);
    bytes.writeFloatBE(one);
    return bytes;
  });
  return Buffer.concat([padded(address), padded(`,${values.map((one) => (typeof one === "string" ? "s" : "f")).join("")}`), ...body]);
}

/** A port that is free now. */
async function free(): Promise<number> {
  const probe = createSocket("udp4");
  await new Promise<void>((done) => probe.bind(0, "127.0.0.1", done));
  const found = probe.address().port;
  await new Promise<void>((done) => probe.close(() => done()));
  return found;
}

/**
 * The rows that the page sends, and those that the avatar is to show, until a number of both has gone far enough; two minutes at most.
 * Nothing is drawn meanwhile: a processor that draws looks at fewer pictures than the server waits for.
 */
function faces(place: number, enough: number): Promise<{ sent: number[][]; shown: number[][] }> {
  return page.evaluate(async ([place, enough]) => {
    const { live } = window.kouxing;
    const sent: number[][] = [];
    const shown: number[][] = [];
    const send = live.captured.bind(live);
    live.captured = (row) => {
      sent.push([...row]);
      send(row);
    };
    const far = (rows: number[][]): boolean => {
      const values = rows.map((row) => row[place] as number);
      return rows.length >= 8 && Math.max(...values) - Math.min(...values) > enough;
    };
    const row = new Float32Array(61);
    for (const until = performance.now() + 120_000; performance.now() < until && !(far(sent) && far(shown)); ) {
      live.sample(row);
      shown.push([...row]);
      await new Promise((wake) => setTimeout(wake, 30));
    }
    live.captured = send;
    return { sent, shown };
  }, [place, enough] as const);
}

const column = (rows: number[][], place: number): number[] => rows.map((row) => row[place] as number);
const most = (values: number[]): number => Math.max(...values);
const least = (values: number[]): number => Math.min(...values);
const rest = (resting: boolean): Promise<void> => page.evaluate((resting) => window.kouxing.stage.rest(resting), resting);

describe.skipIf(PYTHON === undefined)("motion capture", () => {
  beforeAll(async () => {
    browser = await launch(medium("webcam", "camera.mjpeg"));
    port = await free();
    vmc = createSocket("udp4");
    const model = LANDMARKER === undefined ? [] : ["--face-landmarker", LANDMARKER];
    const [started, address] = await serve("--no-jobs", "--capture", `vmc://127.0.0.1:${port}`, ...model);
    server = started;
    page = await open(browser, address, complaints);
  });
  afterAll(async () => {
    vmc?.close();
    await browser?.close();
    server?.kill("SIGINT");
  });

  describe("by a VMC suit and gloves, on a VRM", () => {
    it("takes a VRM whose mouth follows the sound", async () => {
      const file = { name: "Box figure.vrm", mimeType: "application/octet-stream", buffer: Buffer.from(makeVrm()) };
      const dropped = await page.evaluateHandle(([name, base64]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(atob(base64), (one) => one.charCodeAt(0))], name));
        return transfer;
      }, [file.name, file.buffer.toString("base64")] as const);
      await page.dispatchEvent("#stage", "drop", { dataTransfer: dropped });
      await page.waitForFunction(() => window.kouxing.stage.avatar?.vrm != null);
      expect(await page.textContent("#avatar-kind")).toContain("VRM, preset expressions");
      expect(await page.textContent(".avatar[aria-checked=true] .name")).toBe("Box figure");
      await page.setInputFiles("#sound-file", medium("voice", "voice.wav"));
      expect(await moves(page, 0.1, "aa")).toBeGreaterThan(0.1);
      // What the picture shows is the mesh's own weight.
      expect(
        await page.evaluate(() => {
          const { stage } = window.kouxing;
          let shown = -1;
          stage.avatar?.root.traverse((node) => {
            const { morphTargetInfluences } = node as { morphTargetInfluences?: number[] };
            if (morphTargetInfluences !== undefined && morphTargetInfluences.length > 0) shown = morphTargetInfluences[0] as number;
          });
          return Math.abs(shown - (stage.avatar?.face.weight("aa") ?? 9));
        }),
      ).toBeLessThan(1e-4);
      await page.keyboard.press("Escape");
    });

    it("lifts an arm and bends a finger as the bones are told, and lets them down again", async () => {
      const height = (bone: string): Promise<number> =>
        page.evaluate((bone) => {
          const humanoid = window.kouxing.stage.avatar?.vrm?.humanoid;
          const at = (name: string): number => humanoid?.getRawBoneNode(name as "head")?.matrixWorld.elements[13] ?? Number.NaN;
          const scale = window.kouxing.stage.avatar?.root.parent?.scale.y ?? 1;
          return (at(bone) - at("leftUpperArm")) / scale;
        }, bone);
      expect(await height("leftHand")).toBeLessThan(-0.3);
      const send = (): void => {
        for (const [bone, z] of [["LeftUpperArm", -SIN], ["LeftLowerArm", 0], ["LeftIndexProximal", SIN]] as const) { // prettier-ignore
          vmc.send(osc("/VMC/Ext/Bone/Pos", bone, 0, 0, 0, 0, 0, z, z === 0 ? 1 : SIN), port, "127.0.0.1");
        }
      };
      const sending = setInterval(send, 33);
      try {
        await expect.poll(() => height("leftHand"), { timeout: 120_000, interval: 300 }).toBeGreaterThan(0.5);
        // The hand points upwards; a finger that is bent by 90 degrees stays at the height of its root.
        const bent = async (): Promise<number> => Math.abs((await height("leftIndexDistal")) - (await height("leftIndexProximal")));
        await expect.poll(bent, { timeout: 120_000, interval: 300 }).toBeLessThan(0.01);
      } finally {
        clearInterval(sending);
      }
      await expect.poll(() => height("leftHand"), { timeout: 120_000, interval: 300 }).toBeLessThan(-0.3);
      await page.click("#whole");
      expect(await page.getAttribute("#whole", "aria-pressed")).toBe("true");
      await page.click('[data-avatar="head"]');
      await page.waitForFunction(() => window.kouxing.stage.avatar?.vrm == null);
      expect(await page.isVisible("#whole")).toBe(false);
    });
  });

  const reason = LANDMARKER === undefined ? " (left out: no face_landmarker.task; KOUXING_FACE_LANDMARKER names it)" : "";
  describe.skipIf(LANDMARKER === undefined)(`by the webcam${reason}`, () => {
    it("finds a face: she smiles, and so does the avatar; she tilts her head, and so does the avatar", async () => {
      await rest(true);
      await page.check("#webcam");
      await page.waitForSelector("#mirror", { state: "visible" });
      const { sent, shown } = await faces(ROLL, 0.25);
      expect(least(column(sent, SMILE))).toBeGreaterThan(0.2);
      expect(most(column(shown, SMILE))).toBeGreaterThan(0.2);
      expect(most(column(shown, SMILE)) - most(column(sent, SMILE))).toBeLessThan(0.05);
      for (const rows of [sent, shown]) {
        const roll = column(rows, ROLL);
        expect(most(roll) - least(roll)).toBeGreaterThan(0.2);
      }
      await rest(false);
      const same = (place: number): boolean => window.kouxing.stage.row[place]! > 0 && window.kouxing.stage.avatar?.face.weight("mouthSmileLeft") === window.kouxing.stage.row[place];
      await page.waitForFunction(same, SMILE);
    });

    it("lets go of the avatar when it is switched off", async () => {
      await page.uncheck("#webcam");
      await page.waitForFunction((place) => (window.kouxing.stage.row[place] as number) < 0.05, SMILE);
      expect(await page.evaluate(() => (document.getElementById("mirror") as HTMLVideoElement).srcObject)).toBeNull();
      // MediaPipe's engine writes its news as errors.
      expect(complaints.filter((one) => !one.startsWith("INFO: "))).toEqual([]);
    });

    it("asks for the file where the server has none, and says so where it is another one", async () => {
      await page.route("**/face_landmarker.task", (route) => route.fulfill({ status: 404 }));
      await page.reload();
      await page.check("#webcam");
      await page.waitForSelector("#webcam-task", { state: "visible" });
      await rest(true);
      await page.setInputFiles("#task-file", { name: "face_landmarker.task", mimeType: "application/octet-stream", buffer: Buffer.from("no model") });
      await page.waitForSelector("#notice", { state: "visible" });
      expect(await page.textContent("#notice-text")).toContain("face_landmarker.task");
      expect(await page.isChecked("#webcam")).toBe(false);
      await page.check("#webcam");
      await page.setInputFiles("#task-file", { name: "face_landmarker.task", mimeType: "application/octet-stream", buffer: readFileSync(LANDMARKER as string) });
      await page.waitForSelector("#mirror", { state: "visible" });
    });
  });
});
