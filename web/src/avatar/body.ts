/**
 * Captured bones -> a VRM's humanoid.
 *
 * VMC tells each bone's turn within its parent in Unity's axes: left-handed, y up, the model looking along +z, all turns nought where it
 * stands with its arms stretched out (VRM's T-pose). three-vrm's normalised bones mean the same, in glTF's right-handed axes:
 *
 * - VRM 1 looks along +z: the x axis is mirrored, a turn (x, y, z, w) becomes (x, -y, -z, w).
 * - VRM 0 looks along -z: the z axis is mirrored, a turn (x, y, z, w) becomes (-x, -y, z, w).
 *
 * Only turns are taken: lengths belong to the performer's skeleton, and the avatar stays in the picture. Eyes and jaw follow the face's
 * coefficients.
 */
import type { VRM, VRMHumanBoneName } from "@pixiv/three-vrm";
import { Euler, type Object3D, Quaternion } from "three";
import type { Bones } from "../client/live";

const LEFT_TO_FACE = new Set(["LeftEye", "RightEye", "Jaw"]);
/** Time in which a bone comes near what was told: bones come 30 times a second, pictures are drawn more often. */
const FOLLOW_S = 0.04;
/** The same where a body was lost or comes back. */
const SETTLE_S = 0.25;
const SETTLED_S = 0.8;
/** Share of the head's turn that the neck takes over. */
const NECK = 0.4;
const LEAST_LENGTH = 0.5;

/** VRM's name of Unity's humanoid bone: `LeftHand` -> `leftHand`; the thumb begins with the metacarpal. */
export function boneName(unity: string): string {
  const thumb = /^(Left|Right)Thumb(Proximal|Intermediate)$/.exec(unity);
  if (thumb !== null) return `${(thumb[1] as string).toLowerCase()}Thumb${thumb[2] === "Proximal" ? "Metacarpal" : "Proximal"}`;
  return unity.charAt(0).toLowerCase() + unity.slice(1);
}

/** A turn of Unity's as three-vrm's normalised bones understand it; null where it is none. */
export function turn(pose: readonly number[], old: boolean, into: Quaternion): Quaternion | null {
  const [x, y, z, w] = pose.slice(3) as [number, number, number, number];
  const length = Math.hypot(x, y, z, w);
  if (!(length > LEAST_LENGTH && length < 1 / LEAST_LENGTH)) return null;
  return (old ? into.set(-x, -y, z, w) : into.set(x, -y, -z, w)).normalize();
}

interface Joint {
  node: Object3D;
  rest: Quaternion;
}

export class Body {
  private readonly joints = new Map<string, Joint | null>();
  private readonly goal = new Quaternion();
  private readonly euler = new Euler();
  private held: ReadonlySet<string> = new Set();
  private driven = false;
  private changed = Infinity;

  /** `vrm`: in the pose that it is to have while nobody moves it. */
  constructor(private readonly vrm: VRM) {}

  private get old(): boolean {
    return this.vrm.meta?.metaVersion === "0";
  }

  /**
   * @param bones captured, by Unity's names; null: none
   * @param head yaw, pitch, roll of a captured face in radians, Live Link's signs; for avatars whose bones do not tell the head
   * @param seconds since the last call
   */
  apply(bones: Bones | null, head: ArrayLike<number>, seconds: number): void {
    const told = new Set<string>();
    this.changed += seconds;
    const soon = 1 - Math.exp(-seconds / (this.changed < SETTLED_S ? SETTLE_S : FOLLOW_S));
    for (const [unity, pose] of Object.entries(bones ?? {})) {
      if (LEFT_TO_FACE.has(unity)) continue;
      const name = boneName(unity);
      const joint = this.joint(name);
      if (joint === null || turn(pose, this.old, this.goal) === null) continue;
      joint.node.quaternion.slerp(this.goal, soon);
      told.add(name);
    }
    if (!told.has("head") && !told.has("neck")) this.turnHead(head, soon, told);
    if (told.size > 0 !== this.driven) {
      this.driven = told.size > 0;
      this.changed = 0;
    }
    for (const name of this.held) if (!told.has(name)) this.joint(name)?.node.quaternion.slerp((this.joint(name) as Joint).rest, soon);
    // What has not yet come back to rest is remembered, so that it does.
    this.held = new Set([...told, ...[...this.held].filter((name) => !this.rests(name))]);
  }

  private turnHead(head: ArrayLike<number>, soon: number, told: Set<string>): void {
    const [yaw, pitch, roll] = [head[0] ?? 0, head[1] ?? 0, head[2] ?? 0];
    if (yaw === 0 && pitch === 0 && roll === 0) return;
    const neck = this.joint("neck") === null ? 0 : NECK;
    const sign = this.old ? -1 : 1;
    for (const [name, share] of [["neck", neck], ["head", 1 - neck]] as const) {
      const joint = this.joint(name);
      if (joint === null) continue;
      // Live Link: yaw to the person's right, pitch downwards; glTF's y axis turns to the left.
      this.goal.setFromEuler(this.euler.set(sign * share * pitch, -share * yaw, -sign * share * roll, "YXZ"));
      joint.node.quaternion.slerp(this.goal, soon);
      told.add(name);
    }
  }

  /** Whether somebody moves it now. */
  get moved(): boolean {
    return this.driven;
  }

  private rests(name: string): boolean {
    const joint = this.joint(name);
    return joint === null || joint.node.quaternion.angleTo(joint.rest) < 1e-3;
  }

  private joint(name: string): Joint | null {
    const known = this.joints.get(name);
    if (known !== undefined) return known;
    const node = this.vrm.humanoid.getNormalizedBoneNode(name as VRMHumanBoneName);
    const made = node === null ? null : { node, rest: node.quaternion.clone() };
    this.joints.set(name, made);
    return made;
  }
}
