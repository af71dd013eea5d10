import { readFileSync } from "node:fs";
import { Mesh, BufferGeometry, Group } from "three";
import { describe, expect, it } from "vitest";
import { MorphFace, PRESETS } from "../src/avatar/face";
import { arkit, AvatarError, inspect } from "../src/avatar/glb";
import { COEFFICIENTS, PLACE, ROW } from "../src/client/names";

const KNOWN = new Map(COEFFICIENTS.map((name) => [name.toLowerCase(), name]));
const HEAD = readFileSync(new URL("../../src/kouxing/assets/head.glb", import.meta.url));
const copy = (raw: Uint8Array): ArrayBuffer => new Uint8Array(raw).buffer as ArrayBuffer;

/** A GLB of a glTF document without a binary part. */
function glb(document: unknown): ArrayBuffer {
  let text = JSON.stringify(document);
  text = text.padEnd(Math.ceil(text.length / 4) * 4);
  const bytes = new Uint8Array(20 + text.length);
  const view = new DataView(bytes.buffer);
  [0x46546c67, 2, bytes.length, text.length, 0x4e4f534a].forEach((value, i) => view.setUint32(4 * i, value, true));
  bytes.set(new TextEncoder().encode(text), 20);
  return bytes.buffer;
}

describe("names", () => {
  it("are 52, each once", () => expect(new Set(COEFFICIENTS).size).toBe(52));

  it.each([
    ["jawOpen", "jawOpen"], ["JawOpen", "jawOpen"], ["jaw_open", "jawOpen"], ["mouthSmile_L", "mouthSmileLeft"], ["mouthSmileLeft", "mouthSmileLeft"],
    ["head.browOuterUp_R", "browOuterUpRight"], ["blendShape1.EyeBlinkLeft", "eyeBlinkLeft"], ["Fcl_MTH_A", null], ["smile", null], ["mouthLeft", "mouthLeft"],
  ])("%s stands for %s", (name, wanted) => expect(arkit(name, KNOWN)).toBe(wanted)); // prettier-ignore
});

describe("a foreign file", () => {
  it("is taken where it is sound", () => expect(inspect(copy(HEAD)).meshes?.length).toBe(1));

  it.each([
    ["empty", new ArrayBuffer(0), /not a GLB/],
    ["a picture", copy(new Uint8Array(64).fill(0x89)), /not a GLB/],
    ["cut off", copy(HEAD.subarray(0, 5000)), /damaged/],
    ["old", glb({ asset: { version: "1.0" } }).slice(0), /./],
    ["reaching out", glb({ images: [{ uri: "https://example.org/x.png" }] }), /other files/],
    ["climbing", glb({ buffers: [{ uri: "../../etc/passwd" }] }), /other files/],
    ["packed", glb({ extensionsRequired: ["KHR_draco_mesh_compression"] }), /packed/],
    ["endless", glb({ accessors: [{ count: 4e9 }], meshes: [{ primitives: [{ attributes: { POSITION: 0 } }] }] }), /too many points/],
    ["a list", glb([]), /damaged/],
  ])("that is %s is refused in a sentence", (name, bytes, words) => {
    if (name === "old") new DataView(bytes as ArrayBuffer).setUint32(4, 1, true);
    expect(() => inspect(bytes as ArrayBuffer)).toThrow(AvatarError);
    expect(() => inspect(bytes as ArrayBuffer)).toThrow(words as RegExp);
  });

  it("that is too large is refused before it is read", () => {
    expect(() => inspect(copy(HEAD), { bytes: 1000, vertices: 1e9, textures: 9 })).toThrow(/larger than/);
  });
});

describe("faces", () => {
  it("drive every mesh that bears the names", () => {
    const meshes = [["jawOpen", "mouthSmile_L"], ["JawOpen"], ["other"]].map((names) => {
      const mesh = new Mesh(new BufferGeometry());
      mesh.morphTargetDictionary = Object.fromEntries(names.map((name, i) => [name, i]));
      mesh.morphTargetInfluences = names.map(() => 0);
      return mesh;
    });
    const face = new MorphFace(new Group().add(...meshes));
    const row = new Float32Array(ROW);
    row[PLACE["jawOpen"] as number] = 0.5;
    row[PLACE["mouthSmileLeft"] as number] = 0.25;
    face.apply(row);
    expect(meshes.map((mesh) => mesh.morphTargetInfluences)).toEqual([[0.5, 0.25], [0.5], [0]]);
    expect(face.names).toEqual(["jawOpen", "mouthSmileLeft"]);
    expect(face.weight("jawOpen")).toBe(0.5);
  });

  it("of plain VRMs rest where ARKit's rest, and never go beyond 1", () => {
    for (const recipe of Object.values(PRESETS)) {
      expect(recipe(() => 0)).toBe(0);
      for (const many of [0.3, 1]) {
        const value = recipe(() => many);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1);
      }
    }
    const said = (values: Record<string, number>): string => {
      const made = Object.entries(PRESETS).map(([name, recipe]) => [name, recipe((one) => values[one] ?? 0)] as const);
      return made.sort((a, b) => b[1] - a[1])[0]?.[0] as string;
    };
    expect(said({ jawOpen: 0.6 })).toBe("aa");
    expect(said({ mouthPucker: 0.8, jawOpen: 0.1 })).toBe("ou");
    expect(said({ eyeBlinkLeft: 1 })).toBe("blinkLeft");
    expect(PRESETS["aa"]?.((name) => (name === "jawOpen" || name === "mouthClose" ? 0.6 : 0))).toBe(0);
  });
});
