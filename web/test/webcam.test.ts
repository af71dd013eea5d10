import { Euler, Matrix4 } from "three";
import { describe, expect, it } from "vitest";
import { PLACE, ROW, WIDTH } from "../src/client/names";
import { row } from "../src/page/webcam";

const pose = (x: number, y: number, z: number): number[] => new Matrix4().makeRotationFromEuler(new Euler(x, y, z, "YXZ")).toArray();
const turns = (values: Float32Array): number[] => [...values.slice(WIDTH, WIDTH + 3)];

describe("a face that MediaPipe found", () => {
  const found = [{ categoryName: "mouthSmileLeft", score: 0.8 }, { categoryName: "jawOpen", score: 1.2 }, { categoryName: "_neutral", score: 1 }]; // prettier-ignore

  it("is mirrored: left and right change places, numbers stay within bounds", () => {
    const values = row(found);
    expect(values).toHaveLength(ROW);
    expect(values[PLACE["mouthSmileRight"] as number]).toBeCloseTo(0.8);
    expect(values[PLACE["mouthSmileLeft"] as number]).toBe(0);
    expect(values[PLACE["jawOpen"] as number]).toBe(1);
    expect(row(found, undefined, false)[PLACE["mouthSmileLeft"] as number]).toBeCloseTo(0.8);
  });

  it("turns as Live Link says: yaw to the person's right, pitch downwards", () => {
    // MediaPipe's x axis points to the picture's right, which is the person's left.
    expect(turns(row([], pose(0.1, 0.3, 0.2), false))).toEqual([-0.3, 0.1, -0.2].map((one) => expect.closeTo(one, 5)));
    expect(turns(row([], pose(0.1, 0.3, 0.2)))).toEqual([0.3, 0.1, 0.2].map((one) => expect.closeTo(one, 5)));
    expect(turns(row([]))).toEqual([0, 0, 0]);
  });
});
