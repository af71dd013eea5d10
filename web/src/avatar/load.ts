/** GLB or VRM bytes -> a model on the stage with a face that follows coefficients. */
import { VRMLoaderPlugin, VRMUtils, type VRM } from "@pixiv/three-vrm";
import { Box3, type Group, Mesh, type Material, type Object3D, Texture, Vector3 } from "three";
import { GLTFLoader, type GLTF } from "three/examples/jsm/loaders/GLTFLoader.js";
import { Body } from "./body";
import { type Face, MorphFace, VrmFace } from "./face";
import { AvatarError, inspect, LIMITS } from "./glb";

export interface Avatar {
  root: Group;
  face: Face;
  /** Middle and height of what the camera frames: head and neck, in metres of the model. */
  middle: Vector3;
  height: number;
  /** There are shoulders below the head, so the picture may end above the model's lower edge. */
  bust: boolean;
  vrm: VRM | null;
  /** Bones that follow motion capture; VRMs only. */
  body: Body | null;
  /** Middle and height of the whole figure, where there is one. */
  figure: { middle: Vector3; height: number } | null;
  update(seconds: number): void;
  dispose(): void;
}

/**
 * @throws AvatarError: no GLB, damaged, too large, or without a face that could follow.
 */
export async function loadAvatar(bytes: ArrayBuffer): Promise<Avatar> {
  inspect(bytes);
  const loader = new GLTFLoader();
  loader.register((parser) => new VRMLoaderPlugin(parser));
  let gltf: GLTF;
  try {
    gltf = await loader.parseAsync(bytes, "");
  } catch (error) {
    throw new AvatarError("The avatar's file is damaged or of a kind that cannot be read. Export it again as GLB.", { cause: error });
  }
  const vrm = (gltf.userData as { vrm?: VRM }).vrm ?? null;
  const avatar = vrm === null ? plain(gltf.scene) : humanoid(vrm);
  if (avatar.face.names.length === 0) {
    avatar.dispose();
    throw new AvatarError("The avatar has no morph targets with ARKit's names (jawOpen, …) and is no VRM. Choose another one, or make one with “kouxing avatar”.");
  }
  return avatar;
}

/** Fetches an avatar of this server. */
export async function fetchAvatar(address: string): Promise<ArrayBuffer> {
  const reply = await fetch(address);
  if (!reply.ok) throw new AvatarError(`The avatar could not be fetched (${reply.status}).`);
  if (Number(reply.headers.get("content-length") ?? 0) > LIMITS.bytes) throw new AvatarError("The avatar is too large.");
  return reply.arrayBuffer();
}

function plain(root: Group): Avatar {
  const face = new MorphFace(root);
  const box = new Box3();
  root.updateWorldMatrix(true, true);
  root.traverse((node) => {
    // Morph boxes are left out: a file's extremes would push the camera away.
    if (node instanceof Mesh && node.morphTargetDictionary !== undefined && Object.keys(node.morphTargetDictionary).length > 10) {
      node.geometry.computeBoundingBox();
      box.union(still(node));
    }
    if (node instanceof Mesh) node.frustumCulled = false;
  });
  if (box.isEmpty()) box.setFromObject(root);
  const size = box.getSize(new Vector3());
  const height = Math.min(size.y, size.x * 1.75);
  const middle = box.getCenter(new Vector3());
  middle.y = box.max.y - height / 2;
  return { root, face, middle, height, bust: size.x > 0.85 * size.y, vrm: null, body: null, figure: null, update: () => undefined, dispose: () => free(root) };
}

function still(mesh: Mesh): Box3 {
  const box = new Box3();
  const point = new Vector3();
  const places = mesh.geometry.getAttribute("position");
  for (let i = 0; i < places.count; i++) box.expandByPoint(point.fromBufferAttribute(places, i).applyMatrix4(mesh.matrixWorld));
  return box;
}

function humanoid(vrm: VRM): Avatar {
  VRMUtils.rotateVRM0(vrm);
  VRMUtils.removeUnnecessaryVertices(vrm.scene);
  const old = vrm.meta?.metaVersion === "0";
  for (const [bone, sign] of [["leftUpperArm", -1], ["rightUpperArm", 1]] as const) {
    const arm = vrm.humanoid.getNormalizedBoneNode(bone);
    // Models stand with their arms stretched out; people do not.
    if (arm !== null) arm.rotation.z = 1.25 * sign * (old ? -1 : 1);
  }
  vrm.scene.traverse((node) => {
    node.frustumCulled = false;
  });
  vrm.update(0);
  vrm.scene.updateWorldMatrix(true, true);
  const head = vrm.humanoid.getRawBoneNode("head");
  const middle = new Vector3(0, 1.4, 0);
  if (head !== null) head.getWorldPosition(middle);
  const whole = new Box3().setFromObject(vrm.scene);
  const height = Math.max(0.2, Math.min(0.8, (whole.max.y - middle.y) * 1.9));
  middle.y += height * 0.16;
  const figure = { middle: whole.getCenter(new Vector3()).setX(middle.x).setZ(middle.z), height: whole.max.y - whole.min.y };
  const face = new VrmFace(vrm);
  return {
    root: vrm.scene, face, middle, height, bust: true, vrm, figure, body: new Body(vrm),
    update: (seconds) => vrm.update(seconds),
    dispose: () => VRMUtils.deepDispose(vrm.scene),
  }; // prettier-ignore
}

function free(root: Object3D): void {
  root.traverse((node) => {
    if (!(node instanceof Mesh)) return;
    node.geometry.dispose();
    for (const material of ([] as Material[]).concat(node.material as Material | Material[])) {
      for (const value of Object.values(material)) if (value instanceof Texture) value.dispose();
      material.dispose();
    }
  });
}
