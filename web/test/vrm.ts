/** A small valid VRM made by code: a figure of boxes with a face that has morph targets, and every bone that its version asks for. */

type Triple = readonly [number, number, number];

interface Bone {
  name: string;
  parent: string | null;
  /** Within the parent, metres, of a figure that looks along +z. */
  place: Triple;
  /** Half sizes of the box that shows it, and its middle. */
  box?: readonly [Triple, Triple];
}

const side = (left: boolean): Bone[] => {
  const s = left ? 1 : -1;
  const name = (rest: string): string => `${left ? "left" : "right"}${rest}`;
  const arm: Bone[] = [
    { name: name("Shoulder"), parent: "chest", place: [0.05 * s, 0.16, 0] },
    { name: name("UpperArm"), parent: name("Shoulder"), place: [0.1 * s, 0, 0], box: [[0.13, 0.04, 0.04], [0.13 * s, 0, 0]] },
    { name: name("LowerArm"), parent: name("UpperArm"), place: [0.27 * s, 0, 0], box: [[0.12, 0.035, 0.035], [0.12 * s, 0, 0]] },
    { name: name("Hand"), parent: name("LowerArm"), place: [0.25 * s, 0, 0], box: [[0.05, 0.015, 0.04], [0.05 * s, 0, 0]] },
    { name: name("UpperLeg"), parent: "hips", place: [0.09 * s, -0.05, 0], box: [[0.06, 0.2, 0.06], [0, -0.2, 0]] },
    { name: name("LowerLeg"), parent: name("UpperLeg"), place: [0, -0.42, 0], box: [[0.05, 0.2, 0.05], [0, -0.2, 0]] },
    { name: name("Foot"), parent: name("LowerLeg"), place: [0, -0.42, 0], box: [[0.05, 0.03, 0.1], [0, 0, 0.05]] },
  ];
  const fingers = ["Index", "Middle", "Ring", "Little"].flatMap((finger, i): Bone[] => {
    const one = (joint: string, parent: string, place: Triple): Bone => ({ name: name(finger + joint), parent, place, box: [[0.013, 0.008, 0.008], [0.014 * s, 0, 0]] });
    return [
      one("Proximal", name("Hand"), [0.1 * s, 0, 0.03 - 0.02 * i]),
      one("Intermediate", name(`${finger}Proximal`), [0.03 * s, 0, 0]),
      one("Distal", name(`${finger}Intermediate`), [0.03 * s, 0, 0]),
    ];
  });
  const thumb: Bone[] = [
    { name: name("ThumbMetacarpal"), parent: name("Hand"), place: [0.03 * s, 0, 0.04] },
    { name: name("ThumbProximal"), parent: name("ThumbMetacarpal"), place: [0.03 * s, 0, 0.02] },
    { name: name("ThumbDistal"), parent: name("ThumbProximal"), place: [0.025 * s, 0, 0.01], box: [[0.012, 0.008, 0.008], [0.012 * s, 0, 0]] },
  ];
  return [...arm, ...fingers, ...thumb];
};

const BONES: readonly Bone[] = [
  { name: "hips", parent: null, place: [0, 0.95, 0], box: [[0.14, 0.08, 0.09], [0, 0, 0]] },
  { name: "spine", parent: "hips", place: [0, 0.12, 0], box: [[0.12, 0.07, 0.08], [0, 0.03, 0]] },
  { name: "chest", parent: "spine", place: [0, 0.14, 0], box: [[0.16, 0.11, 0.09], [0, 0.08, 0]] },
  { name: "neck", parent: "chest", place: [0, 0.22, 0], box: [[0.05, 0.05, 0.05], [0, 0.03, 0]] },
  { name: "head", parent: "neck", place: [0, 0.08, 0] },
  ...side(true),
  ...side(false),
];

/** VRM 0 names the thumb's bones as Unity does. */
const OLD_THUMB: Record<string, string> = { Metacarpal: "Proximal", Proximal: "Intermediate" };

/** Bytes that grow, and accessors into them. */
class Store {
  readonly accessors: object[] = [];
  readonly views: object[] = [];
  private readonly parts: Uint8Array[] = [];
  length = 0;

  add(values: Float32Array | Uint16Array, type: "VEC3" | "SCALAR"): number {
    const bytes = new Uint8Array(values.buffer);
    this.views.push({ buffer: 0, byteOffset: this.length, byteLength: bytes.length });
    const width = type === "VEC3" ? 3 : 1;
    const columns = Array.from({ length: width }, (_, k) => values.filter((_, i) => i % width === k));
    this.accessors.push({
      bufferView: this.views.length - 1, componentType: values instanceof Float32Array ? 5126 : 5123, count: values.length / width, type,
      min: columns.map((one) => Math.min(...one)), max: columns.map((one) => Math.max(...one)),
    }); // prettier-ignore
    const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    padded.set(bytes);
    this.parts.push(padded);
    this.length += padded.length;
    return this.accessors.length - 1;
  }

  whole(): Uint8Array {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

/** A ball of a head whose mouth is a dent in front; one morph target a name moves part of it. */
function headMesh(store: Store, names: readonly string[]): { attributes: Record<string, number>; indices: number; targets: Record<string, number>[]; material: number } {
  const rings = 18;
  const around = 24;
  const places: number[] = [];
  for (let i = 0; i <= rings; i++) {
    for (let k = 0; k <= around; k++) {
      const [a, b] = [(Math.PI * i) / rings, (2 * Math.PI * k) / around];
      places.push(0.1 * Math.sin(a) * Math.sin(b), 0.1 + 0.13 * Math.cos(a), 0.11 * Math.sin(a) * Math.cos(b));
    }
  }
  const faces: number[] = [];
  for (let i = 0; i < rings; i++) {
    for (let k = 0; k < around; k++) {
      const at = i * (around + 1) + k;
      faces.push(at, at + around + 1, at + 1, at + 1, at + around + 1, at + around + 2);
    }
  }
  const normals = new Float32Array(places.length);
  for (let i = 0; i < places.length; i += 3) {
    const [x, y, z] = [places[i] as number, (places[i + 1] as number) - 0.1, places[i + 2] as number];
    const length = Math.hypot(x, y, z) || 1;
    normals.set([x / length, y / length, z / length], i);
  }
  const targets = names.map((_, number) => {
    const moves = new Float32Array(places.length);
    for (let i = 0; i < places.length; i += 3) {
      const lower = (places[i + 2] as number) > 0.05 && (places[i + 1] as number) < 0.08;
      if (lower) moves[i + (number % 3)] = -0.03;
    }
    return { POSITION: store.add(moves, "VEC3") };
  });
  return {
    attributes: { POSITION: store.add(Float32Array.from(places), "VEC3"), NORMAL: store.add(normals, "VEC3") },
    indices: store.add(Uint16Array.from(faces), "SCALAR"), targets, material: 0,
  }; // prettier-ignore
}

function boxMesh(store: Store, [half, middle]: readonly [Triple, Triple]): object {
  const places: number[] = [];
  const normals: number[] = [];
  const faces: number[] = [];
  for (const axis of [0, 1, 2]) {
    for (const sign of [-1, 1]) {
      const first = places.length / 3;
      for (const [u, v] of [[-1, -1], [1, -1], [1, 1], [-1, 1]] as const) { // prettier-ignore
        const corner = [0, 0, 0];
        corner[axis] = sign;
        corner[(axis + 1) % 3] = sign * u;
        corner[(axis + 2) % 3] = v;
        places.push(...corner.map((one, k) => one * (half[k] as number) + (middle[k] as number)));
        normals.push(...[0, 1, 2].map((k) => (k === axis ? sign : 0)));
      }
      faces.push(first, first + 1, first + 2, first, first + 2, first + 3);
    }
  }
  return {
    attributes: { POSITION: store.add(Float32Array.from(places), "VEC3"), NORMAL: store.add(Float32Array.from(normals), "VEC3") },
    indices: store.add(Uint16Array.from(faces), "SCALAR"), material: 1,
  }; // prettier-ignore
}

export const PRESET_NAMES = ["aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight"] as const;
const OLD_PRESETS: Record<string, string> = { aa: "a", ih: "i", ou: "u", ee: "e", oh: "o", blinkLeft: "blink_l", blinkRight: "blink_r" };

export interface VrmOptions {
  version?: 0 | 1;
  /** Names of custom expressions, such as ARKit's; the presets by default. */
  custom?: readonly string[];
}

/** The file's bytes. VRM 0 looks along -z: the whole figure is turned. */
export function makeVrm({ version = 1, custom }: VrmOptions = {}): ArrayBuffer {
  const store = new Store();
  const names = custom ?? PRESET_NAMES;
  const turned = (place: Triple): Triple => (version === 0 ? [-place[0], place[1], -place[2]] : place);
  const meshes: object[] = [];
  const nodes: { name: string; translation?: Triple; rotation?: readonly number[]; children?: number[]; mesh?: number }[] = BONES.map(({ name, place }) => ({ name, translation: turned(place) }));
  const number = new Map(BONES.map((bone, i) => [bone.name, i]));
  const child = (parent: number, node: (typeof nodes)[number]): number => {
    nodes.push(node);
    ((nodes[parent] as (typeof nodes)[number]).children ??= []).push(nodes.length - 1);
    return nodes.length - 1;
  };
  const half = version === 0 ? { rotation: [0, 1, 0, 0] } : {};
  let face = 0;
  for (const [i, bone] of BONES.entries()) {
    if (bone.parent !== null) ((nodes[number.get(bone.parent) as number] as (typeof nodes)[number]).children ??= []).push(i);
    if (bone.box !== undefined) {
      meshes.push({ primitives: [boxMesh(store, bone.box)] });
      child(i, { name: `${bone.name} box`, mesh: meshes.length - 1, ...half });
    }
    if (bone.name === "head") {
      meshes.push({ primitives: [headMesh(store, names)], extras: { targetNames: names.map((_, k) => `shape ${k}`) } });
      face = child(i, { name: "face", mesh: meshes.length - 1, ...half });
    }
  }
  const document = {
    asset: { version: "2.0", generator: "kouxing tests" },
    extensionsUsed: [version === 0 ? "VRM" : "VRMC_vrm"],
    extensions: version === 0 ? { VRM: oldExtension(number, names, (nodes[face] as { mesh: number }).mesh, custom !== undefined) } : { VRMC_vrm: extension(number, names, face, custom !== undefined) },
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes,
    meshes,
    materials: [
      { name: "skin", pbrMetallicRoughness: { baseColorFactor: [0.86, 0.62, 0.5, 1], metallicFactor: 0, roughnessFactor: 0.7 } },
      { name: "suit", pbrMetallicRoughness: { baseColorFactor: [0.2, 0.32, 0.45, 1], metallicFactor: 0, roughnessFactor: 0.8 } },
    ],
    accessors: store.accessors,
    bufferViews: store.views,
    buffers: [{ byteLength: store.length }],
  };
  return glb(document, store.whole());
}

function extension(number: Map<string, number>, names: readonly string[], face: number, custom: boolean): object {
  const expressions = Object.fromEntries(names.map((name, index) => [name, { morphTargetBinds: [{ node: face, index, weight: 1 }] }]));
  return {
    specVersion: "1.0",
    meta: { name: "Box figure", version: "1", authors: ["tests"], licenseUrl: "https://vrm.dev/licenses/1.0/", avatarPermission: "everyone" },
    humanoid: { humanBones: Object.fromEntries([...number].map(([name, node]) => [name, { node }])) },
    expressions: custom ? { custom: expressions } : { preset: expressions },
  };
}

function oldExtension(number: Map<string, number>, names: readonly string[], mesh: number, custom: boolean): object {
  const old = (name: string): string => name.replace(/(?<=Thumb)(Metacarpal|Proximal)$/, (joint) => OLD_THUMB[joint] as string);
  const map = { curve: [0, 0, 0, 1, 1, 1, 1, 0], xRange: 90, yRange: 10 };
  return {
    exporterVersion: "kouxing tests",
    specVersion: "0.0",
    meta: { title: "Box figure", version: "1", author: "tests", licenseName: "CC0" },
    humanoid: { humanBones: [...number].map(([bone, node]) => ({ bone: old(bone), node, useDefaultValues: true })) },
    blendShapeMaster: {
      blendShapeGroups: names.map((name, index) => ({ name, presetName: custom ? "unknown" : (OLD_PRESETS[name] ?? name), binds: [{ mesh, index, weight: 100 }], materialValues: [] })),
    },
    firstPerson: { lookAtTypeName: "Bone", ...Object.fromEntries(["HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp"].map((one) => [`lookAt${one}`, map])) },
    secondaryAnimation: { boneGroups: [], colliderGroups: [] },
    materialProperties: [],
  };
}

function glb(document: unknown, binary: Uint8Array): ArrayBuffer {
  const raw = new TextEncoder().encode(JSON.stringify(document));
  const length = Math.ceil(raw.length / 4) * 4;
  const bytes = new Uint8Array(28 + length + binary.length).fill(0x20);
  const view = new DataView(bytes.buffer);
  [0x46546c67, 2, bytes.length, length, 0x4e4f534a].forEach((value, i) => view.setUint32(4 * i, value, true));
  bytes.set(raw, 20);
  view.setUint32(20 + length, binary.length, true);
  view.setUint32(24 + length, 0x004e4942, true);
  bytes.set(binary, 28 + length);
  return bytes.buffer;
}
