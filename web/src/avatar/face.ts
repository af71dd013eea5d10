/** Coefficients -> a loaded model: morph targets with ARKit's names, or a VRM's expressions. */
import type { VRM } from "@pixiv/three-vrm";
import { Mesh, type Object3D } from "three";
import { COEFFICIENTS, PLACE } from "../client/names";
import { arkit } from "./glb";

/** Degrees that an eye turns at a look coefficient of 1. */
const LOOK_DEGREES = 28;

const KNOWN: ReadonlyMap<string, string> = new Map(COEFFICIENTS.map((name) => [name.toLowerCase(), name]));

export interface Face {
  /** How the model is driven, for the person in front of the screen. */
  readonly kind: string;
  /** ARKit names that it follows. */
  readonly names: readonly string[];
  /** `row`: `[61]`: `COEFFICIENTS`, 0..1, then `ROTATIONS`. */
  apply(row: Float32Array): void;
  /** The weight the model shows now for an ARKit name, for tests and meters. */
  weight(name: string): number;
}

/** Morph targets that bear ARKit's names, in any mesh of the model. */
export class MorphFace implements Face {
  readonly kind: string = "ARKit morph targets";
  readonly names: readonly string[];
  private readonly links: { influences: number[]; target: number; place: number }[] = [];

  constructor(root: Object3D) {
    const found = new Set<string>();
    root.traverse((node) => {
      if (!(node instanceof Mesh) || node.morphTargetDictionary === undefined) return;
      for (const [target, index] of Object.entries(node.morphTargetDictionary)) {
        const name = arkit(target, KNOWN);
        if (name === null) continue;
        found.add(name);
        this.links.push({ influences: node.morphTargetInfluences as number[], target: index, place: PLACE[name] as number });
      }
    });
    this.names = COEFFICIENTS.filter((name) => found.has(name));
  }

  apply(row: Float32Array): void {
    for (const link of this.links) link.influences[link.target] = row[link.place] ?? 0;
  }

  weight(name: string): number {
    const link = this.links.find((one) => one.place === PLACE[name]);
    return link?.influences[link.target] ?? 0;
  }
}

type Recipe = Record<string, (value: (name: string) => number) => number>;

const clamp = (value: number): number => Math.min(1, Math.max(0, value));
const both = (value: (name: string) => number, stem: string): number => (value(`${stem}Left`) + value(`${stem}Right`)) / 2;

/** VRM's few preset expressions out of the 52. Vowels share what the jaw opens, so that they never add up to a scream. */
export const PRESETS: Recipe = {
  aa: (v) => clamp((v("jawOpen") - v("mouthClose")) * 1.5 * (1 - 0.7 * v("mouthPucker")) * (1 - 0.5 * v("mouthFunnel"))),
  ou: (v) => clamp(v("mouthPucker") * 0.9),
  oh: (v) => clamp(v("mouthFunnel") * 0.8 + v("jawOpen") * v("mouthPucker") * 0.4),
  ih: (v) => clamp((both(v, "mouthStretch") * 0.6 + both(v, "mouthLowerDown") * 0.4) * (1 - v("mouthPucker"))),
  ee: (v) => clamp((both(v, "mouthDimple") * 0.5 + both(v, "mouthUpperUp") * 0.4) * (1 - v("mouthFunnel"))),
  blinkLeft: (v) => clamp(v("eyeBlinkLeft")),
  blinkRight: (v) => clamp(v("eyeBlinkRight")),
  happy: (v) => clamp(both(v, "mouthSmile") * 0.7 - 0.1),
  sad: (v) => clamp(both(v, "mouthFrown") * 0.6 + v("browInnerUp") * 0.2 - 0.2),
  angry: (v) => clamp(both(v, "browDown") * 0.7 - 0.15),
  surprised: (v) => clamp((both(v, "eyeWide") + both(v, "browOuterUp")) * 0.4 - 0.1),
};

/** A VRM: its "perfect sync" expressions where it has them, else the presets. */
export class VrmFace implements Face {
  readonly kind: string;
  readonly names: readonly string[];
  private readonly expressions: { name: string; place: number }[] = [];
  private readonly presets: { name: string; recipe: (value: (name: string) => number) => number }[] = [];
  private readonly morphs: MorphFace;
  private readonly shown = new Map<string, number>();

  constructor(private readonly vrm: VRM) {
    this.morphs = new MorphFace(vrm.scene);
    const manager = vrm.expressionManager;
    const custom = manager === undefined ? [] : manager.expressions.map((one) => one.expressionName);
    for (const name of custom) {
      const known = arkit(name, KNOWN);
      if (known !== null) this.expressions.push({ name, place: PLACE[known] as number });
    }
    const perfect = this.expressions.length >= 20;
    if (!perfect && this.morphs.names.length < 20) {
      for (const [name, recipe] of Object.entries(PRESETS)) {
        if (manager?.getExpression(name)) this.presets.push({ name, recipe });
      }
    }
    this.kind = perfect ? "VRM, perfect sync" : this.presets.length > 0 ? "VRM, preset expressions" : "VRM, ARKit morph targets";
    const places = new Set(this.expressions.map((one) => one.place));
    this.names = perfect ? COEFFICIENTS.filter((_, i) => places.has(i)) : this.presets.length > 0 ? this.presets.map((one) => one.name) : this.morphs.names;
    if (!perfect) this.expressions.length = 0;
  }

  apply(row: Float32Array): void {
    const value = (name: string): number => row[PLACE[name] as number] ?? 0;
    const manager = this.vrm.expressionManager;
    for (const one of this.expressions) manager?.setValue(one.name, row[one.place] ?? 0);
    for (const one of this.presets) manager?.setValue(one.name, one.recipe(value));
    if (this.expressions.length === 0 && this.presets.length === 0) this.morphs.apply(row);
    for (const name of this.names) this.shown.set(name, name in PLACE ? value(name) : (PRESETS[name]?.(value) ?? 0));
    this.look(value);
  }

  private look(value: (name: string) => number): void {
    const eyes = this.vrm.lookAt;
    if (!eyes) return;
    // To the person's left positive; each eye's "in" is towards the nose.
    const left = (value("eyeLookOutLeft") - value("eyeLookInLeft") + value("eyeLookInRight") - value("eyeLookOutRight")) / 2;
    const up = (value("eyeLookUpLeft") + value("eyeLookUpRight") - value("eyeLookDownLeft") - value("eyeLookDownRight")) / 2;
    eyes.yaw = left * LOOK_DEGREES;
    eyes.pitch = -up * LOOK_DEGREES;
  }

  weight(name: string): number {
    return this.shown.get(name) ?? this.morphs.weight(name);
  }
}
