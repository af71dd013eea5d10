/** Names and rates that the server and its terminals share. */

const sides = (...stems: string[]): string[] => stems.flatMap((stem) => [`${stem}Left`, `${stem}Right`]);
const EYE = ["eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide"];

/** ARKit's 52 in Apple's group order; the columns of every coefficient row. */
export const COEFFICIENTS: readonly string[] = [
  ...EYE.map((stem) => `${stem}Left`),
  ...EYE.map((stem) => `${stem}Right`),
  "jawForward", "jawLeft", "jawRight", "jawOpen",
  "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
  ...sides("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch"),
  "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
  ...sides("mouthPress", "mouthLowerDown", "mouthUpperUp"),
  ...sides("browDown"), "browInnerUp", ...sides("browOuterUp"),
  "cheekPuff", ...sides("cheekSquint", "noseSneer"), "tongueOut",
]; // prettier-ignore

export const WIDTH = COEFFICIENTS.length;

/** Angles that captured motion brings beside the coefficients, in radians; the columns after the 52. */
export const ROTATIONS = ["headYaw", "headPitch", "headRoll", "leftEyeYaw", "leftEyePitch", "leftEyeRoll", "rightEyeYaw", "rightEyePitch", "rightEyeRoll"] as const;

/** Numbers of a whole row: coefficients, then rotations. */
export const ROW = WIDTH + ROTATIONS.length;

/** Name -> column. */
export const PLACE: Readonly<Record<string, number>> = Object.fromEntries(COEFFICIENTS.map((name, i) => [name, i]));

export const EMOTIONS = ["neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"] as const;
export type Emotion = (typeof EMOTIONS)[number];

/** Samples per second of every sound on the wire, and of the session's clock. */
export const SAMPLE_HZ = 16_000;

/** Coefficient rows per second. */
export const COEFFICIENT_HZ = 60;
