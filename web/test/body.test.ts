import { Quaternion, Vector3 } from "three";
import { describe, expect, it } from "vitest";
import { boneName, turn } from "../src/avatar/body";
import { type Avatar, loadAvatar } from "../src/avatar/load";
import { COEFFICIENTS, PLACE, ROW } from "../src/client/names";
import { makeVrm } from "./vrm";

const STILL = [0, 0, 0];
const SIN = Math.SQRT1_2;

/** A pose of Unity's: a turn about an axis by 90 degrees. */
const quarter = (x: number, y: number, z: number): number[] => [0, 0, 0, x * SIN, y * SIN, z * SIN, SIN];

function place(avatar: Avatar, bone: string): Vector3 {
  avatar.root.updateWorldMatrix(true, true);
  return (avatar.vrm?.humanoid.getRawBoneNode(bone as "head")?.getWorldPosition(new Vector3()) ?? new Vector3(NaN)).clone();
}

function posed(avatar: Avatar, bones: Record<string, number[]> | null, head: number[] = STILL, seconds = 3): void {
  for (let i = 0; i < seconds * 60; i++) {
    avatar.body?.apply(bones, head, 1 / 60);
    avatar.update(1 / 60);
  }
}

describe("names of bones", () => {
  it.each([
    ["Hips", "hips"], ["LeftUpperArm", "leftUpperArm"], ["RightLittleDistal", "rightLittleDistal"], ["LeftThumbProximal", "leftThumbMetacarpal"],
    ["RightThumbIntermediate", "rightThumbProximal"], ["LeftThumbDistal", "leftThumbDistal"], ["UpperChest", "upperChest"],
  ])("Unity's %s is VRM's %s", (unity, vrm) => expect(boneName(unity)).toBe(vrm)); // prettier-ignore
});

describe("Unity's turns", () => {
  it("lose no length, mirror x for VRM 1 and z for VRM 0, and are refused where they are none", () => {
    const pose = [9, 9, 9, 0.1, 0.2, 0.3, Math.sqrt(1 - 0.14)];
    expect(turn(pose, false, new Quaternion())?.toArray()).toEqual([0.1, -0.2, -0.3, Math.sqrt(1 - 0.14)].map((one) => expect.closeTo(one, 6)));
    expect(turn(pose, true, new Quaternion())?.toArray()).toEqual([-0.1, -0.2, 0.3, Math.sqrt(1 - 0.14)].map((one) => expect.closeTo(one, 6)));
    expect(turn([0, 0, 0, 0, 0, 0, 0], false, new Quaternion())).toBeNull();
    expect(turn([0, 0, 0], false, new Quaternion())).toBeNull();
    expect(turn([0, 0, 0, NaN, 0, 0, 1], false, new Quaternion())).toBeNull();
  });
});

describe.each([0, 1] as const)("a figure of VRM %i", (version) => {
  it("stands with its arms down and looks at us", async () => {
    const avatar = await loadAvatar(makeVrm({ version }));
    expect(avatar.face.kind).toContain("VRM");
    expect(avatar.figure?.height).toBeGreaterThan(1.3);
    posed(avatar, null);
    // The person's left is on our right.
    expect(place(avatar, "leftHand").x).toBeGreaterThan(0.1);
    expect(place(avatar, "leftHand").y).toBeLessThan(place(avatar, "leftUpperArm").y - 0.4);
    expect(place(avatar, "leftFoot").x).toBeGreaterThan(0.05);
  });

  it("lifts its left arm, stretches the right one forward, bends a finger, and comes back to rest", async () => {
    const avatar = await loadAvatar(makeVrm({ version }));
    posed(avatar, null);
    const before = place(avatar, "leftHand");
    // In Unity's axes the left arm points to -x: up is -90 degrees about z; the right one forward is -90 degrees about y.
    const arms = { LeftUpperArm: quarter(0, 0, -1), RightUpperArm: quarter(0, -1, 0), LeftLowerArm: [0, 0, 0, 0, 0, 0, 1] };
    posed(avatar, arms);
    const [shoulder, hand] = [place(avatar, "leftUpperArm"), place(avatar, "leftHand")];
    expect(hand.y - shoulder.y).toBeCloseTo(0.52, 2);
    expect(Math.hypot(hand.x - shoulder.x, hand.z - shoulder.z)).toBeLessThan(0.01);
    expect(place(avatar, "rightHand").z - place(avatar, "rightUpperArm").z).toBeCloseTo(0.52, 2);
    const tip = place(avatar, "rightIndexDistal");
    // The finger, which points forward now, bends downwards: about its own x axis in the hand, which is Unity's z.
    posed(avatar, { ...arms, RightIndexProximal: quarter(0, 0, -1), RightThumbProximal: quarter(0, 1, 0) });
    const bent = place(avatar, "rightIndexDistal");
    expect(bent.distanceTo(place(avatar, "rightIndexProximal"))).toBeCloseTo(0.06, 3);
    expect(tip.y - bent.y).toBeCloseTo(0.06, 2);
    posed(avatar, null);
    expect(place(avatar, "leftHand").distanceTo(before)).toBeLessThan(0.01);
  });

  it("turns its head with a captured face, unless its bones tell the head", async () => {
    const avatar = await loadAvatar(makeVrm({ version }));
    const nose = (): Vector3 => {
      const head = avatar.vrm?.humanoid.getRawBoneNode("head");
      avatar.root.updateWorldMatrix(true, true);
      return new Vector3(0, 0, version === 0 ? -1 : 1).transformDirection(head!.matrixWorld);
    };
    posed(avatar, null, [0.5, 0.2, 0]);
    // Live Link's signs: to the person's right, which is our left, and down.
    expect(nose().x).toBeCloseTo(-Math.sin(0.5) * Math.cos(0.2), 1);
    expect(nose().y).toBeCloseTo(-Math.sin(0.2), 1);
    posed(avatar, { Head: [0, 0, 0, 0, 0, 0, 1], Neck: [0, 0, 0, 0, 0, 0, 1] }, [0.5, 0.2, 0]);
    expect(nose().z).toBeGreaterThan(0.999);
    posed(avatar, null);
    expect(nose().z).toBeGreaterThan(0.999);
  });

  it("leaves alone what it has no bone for, and what is no turn", async () => {
    const avatar = await loadAvatar(makeVrm({ version }));
    posed(avatar, { UpperChest: quarter(1, 0, 0), Nonsense: quarter(0, 1, 0), LeftHand: [0, 0], LeftEye: quarter(1, 0, 0) }, STILL, 0.2);
    expect(avatar.body?.moved).toBe(false);
  });
});

describe("expressions of VRMs", () => {
  const row = new Float32Array(ROW);
  row[PLACE["jawOpen"] as number] = 0.5;
  const weights = (avatar: Avatar): number[] => {
    let found: number[] = [];
    avatar.root.traverse((node) => {
      const { morphTargetInfluences } = node as { morphTargetInfluences?: number[] };
      if (morphTargetInfluences !== undefined && morphTargetInfluences.length > 0) found = morphTargetInfluences;
    });
    return found;
  };

  it.each([0, 1] as const)("presets of VRM %i follow the sound", async (version) => {
    const avatar = await loadAvatar(makeVrm({ version }));
    expect(avatar.face.kind).toBe("VRM, preset expressions");
    avatar.face.apply(row);
    avatar.update(1 / 60);
    expect(avatar.face.weight("aa")).toBeCloseTo(0.75, 5);
    expect(weights(avatar)[0]).toBeCloseTo(0.75, 5);
  });

  it.each([0, 1] as const)("perfect sync of VRM %i takes the 52 as they are", async (version) => {
    const custom = COEFFICIENTS.map((name) => name.charAt(0).toUpperCase() + name.slice(1));
    const avatar = await loadAvatar(makeVrm({ version, custom }));
    expect(avatar.face.kind).toBe("VRM, perfect sync");
    expect(avatar.face.names).toHaveLength(52);
    avatar.face.apply(row);
    avatar.update(1 / 60);
    expect(weights(avatar)[PLACE["jawOpen"] as number]).toBeCloseTo(0.5, 5);
  });
});
