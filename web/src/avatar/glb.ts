/** A look at a GLB before anything is built from it: foreign files are read with care. */

/** A sentence for the person who chose the file, with what to do. */
export class AvatarError extends Error {}

export interface Limits {
  bytes: number;
  vertices: number;
  textures: number;
}

export const LIMITS: Limits = { bytes: 150e6, vertices: 2e6, textures: 64 };

const MAGIC = 0x46546c67;
const JSON_CHUNK = 0x4e4f534a;
const PACKED = ["KHR_draco_mesh_compression", "KHR_texture_basisu"];

interface Document {
  asset?: { version?: string };
  accessors?: { count?: number }[];
  meshes?: { primitives?: { attributes?: Record<string, number>; targets?: unknown[] }[] }[];
  images?: { uri?: string }[];
  buffers?: { uri?: string; byteLength?: number }[];
  extensionsRequired?: string[];
  extensionsUsed?: string[];
}

/**
 * Refuses what is no GLB, reaches out of the file, or is too large to draw.
 *
 * @returns its glTF document.
 * @throws AvatarError
 */
export function inspect(bytes: ArrayBuffer, limits: Limits = LIMITS): Document {
  if (bytes.byteLength > limits.bytes) throw new AvatarError(`The avatar is larger than ${limits.bytes / 1e6} MB. Choose a smaller one.`);
  const view = new DataView(bytes);
  if (bytes.byteLength < 20 || view.getUint32(0, true) !== MAGIC) {
    throw new AvatarError("That is not a GLB or VRM file. Choose one that ends in .glb or .vrm.");
  }
  if (view.getUint32(4, true) !== 2) throw new AvatarError("Only glTF 2 is read. Export the avatar again as glTF 2 (GLB).");
  const length = view.getUint32(12, true);
  if (view.getUint32(8, true) > bytes.byteLength || view.getUint32(16, true) !== JSON_CHUNK || 20 + length > bytes.byteLength) {
    throw new AvatarError("The avatar's file is damaged or cut off. Copy or export it again.");
  }
  const document = parsed(new Uint8Array(bytes, 20, length));
  check(document, limits);
  return document;
}

function parsed(raw: Uint8Array): Document {
  try {
    const found: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(raw));
    if (typeof found === "object" && found !== null && !Array.isArray(found)) return found as Document;
  } catch {
    // Told below, as for any other damage.
  }
  throw new AvatarError("The avatar's file is damaged. Export it again.");
}

function check(document: Document, limits: Limits): void {
  const packed = document.extensionsRequired?.find((name) => PACKED.includes(name));
  if (packed !== undefined) throw new AvatarError(`The avatar is packed with ${packed}. Export it without Draco or KTX2.`);
  const outside = [...(document.images ?? []), ...(document.buffers ?? [])].some((one) => one.uri !== undefined && !one.uri.startsWith("data:"));
  if (outside) throw new AvatarError("The avatar refers to other files. Export it as one GLB with everything inside.");
  if ((document.images?.length ?? 0) > limits.textures) throw new AvatarError(`The avatar has more than ${limits.textures} pictures. Choose a lighter one.`);
  let vertices = 0;
  for (const mesh of document.meshes ?? []) {
    for (const primitive of mesh.primitives ?? []) {
      const place = primitive.attributes?.["POSITION"];
      vertices += (document.accessors?.[place ?? -1]?.count ?? 0) * (1 + (primitive.targets?.length ?? 0) / 8);
    }
  }
  if (!(vertices <= limits.vertices)) throw new AvatarError("The avatar has too many points to be drawn live. Choose a lighter one.");
}

/** The ARKit name that a morph target or expression stands for, or null: `JawOpen`, `jaw_open`, `mouthSmile_L`, `head.jawOpen`. */
export function arkit(name: string, known: ReadonlyMap<string, string>): string | null {
  const last = name.split(/[.:|]/).at(-1) ?? name;
  const plain = last
    .replace(/[_\s-]?(?:Left|_L)$/i, "Left")
    .replace(/[_\s-]?(?:Right|_R)$/i, "Right")
    .replace(/[_\s-]/g, "")
    .toLowerCase();
  return known.get(plain) ?? null;
}
