/** The picture: one avatar, well lit, seen by a camera that people may turn a little. */
import {
  AmbientLight, Color, DirectionalLight, Group, MathUtils, NeutralToneMapping, PerspectiveCamera, PMREMGenerator, Scene, SRGBColorSpace, Vector2, Vector3, WebGLRenderer,
} from "three"; // prettier-ignore
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { RoomEnvironment } from "three/examples/jsm/environments/RoomEnvironment.js";
import type { Bones } from "../client/live";
import { ROW, WIDTH } from "../client/names";
import type { Avatar } from "./load";

/** Fills a row with the face to draw now. */
export type FaceSource = (into: Float32Array) => void;

/** What the camera frames: height, least share of width to height, and the place of the middle above the stage's. */
interface View {
  tall: number;
  wide: number;
  middle: number;
}

const FIELD_DEGREES = 22;
/** Height of every avatar on the stage, and the shares of the picture that it takes: a bust goes on below the lower edge. */
const TALL = 0.27;
const FILL = { head: 0.72, bust: 0.86 };
const ABOVE = 0.09;
const MOST_PIXELS = 2;
/** Slower than this, the picture is drawn coarser, step by step, down to the least. */
const SLOW_HZ = 24;
const LEAST_PIXELS = 0.5;
const JUDGE_MS = 2500;
const TURN_DEGREES = { x: 38, y: 20 };
const SWAY_DEGREES = { yaw: 2.2, pitch: 1.2, roll: 0.8 };

export class Stage {
  readonly row = new Float32Array(ROW);
  avatar: Avatar | null = null;
  /** Pictures drawn in the last second. */
  rate = 0;
  /** Called when another avatar stands on the stage. */
  shown: (avatar: Avatar) => void = () => undefined;
  /** Captured bones to draw now; null: none. */
  bones: () => Bones | null = () => null;
  /** The head moves a little while it lives; off where people ask for less motion. */
  sway = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(FIELD_DEGREES, 1, 0.05, 50);
  private readonly controls: OrbitControls;
  private readonly pivot = new Group();
  private readonly watcher: ResizeObserver;
  private last = 0;
  private drawn: number[] = [];
  private pixels: number;
  private judged = 0;
  private whole = false;

  /**
   * @param best the best picture at any cost; else one that this machine can draw in time
   * @throws Error where the browser has no WebGL.
   */
  constructor(private readonly canvas: HTMLCanvasElement, private readonly face: FaceSource, private readonly best = false) {
    const plain = !best && software();
    // Styles may leave out what costs as much as the picture itself: masks, blurred glass.
    canvas.classList.toggle("plain", plain);
    this.pixels = plain ? LEAST_PIXELS : Math.min(devicePixelRatio, MOST_PIXELS);
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: !plain, powerPreference: "high-performance" });
    this.renderer.outputColorSpace = SRGBColorSpace;
    this.renderer.toneMapping = NeutralToneMapping;
    this.renderer.toneMappingExposure = 0.95;
    if (!plain) {
      const maker = new PMREMGenerator(this.renderer);
      this.scene.environment = maker.fromScene(new RoomEnvironment(), 0.04, 0.1, 100, { size: 64 }).texture;
      this.scene.environmentIntensity = 0.34;
      maker.dispose();
    }
    this.scene.add(this.pivot, new AmbientLight(0xffffff, plain ? 1.5 : 0.22), ...lights());
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enablePan = false;
    this.controls.enableDamping = true;
    this.controls.dampingFactor = 0.08;
    // Keys of the canvas are handled by the page; a wheel over the picture must still scroll the page on small screens.
    this.controls.enableZoom = matchMedia("(pointer: fine) and (min-width: 900px)").matches;
    canvas.style.touchAction = "pan-y";
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(canvas);
    this.renderer.setAnimationLoop((time) => this.draw(time));
  }

  show(avatar: Avatar): void {
    if (this.avatar !== null) {
      this.pivot.remove(this.avatar.root);
      this.avatar.dispose();
    }
    this.avatar = avatar;
    this.whole &&= avatar.figure !== null;
    const scale = TALL / avatar.height;
    this.pivot.scale.setScalar(scale);
    this.pivot.add(avatar.root);
    avatar.root.position.sub(avatar.middle);
    this.fit();
    this.frame();
    this.shown(avatar);
  }

  /** The camera back to the front; `figure`: on the whole figure instead of the head, where the avatar has one. */
  frame(figure = this.whole): void {
    this.whole = figure && this.avatar?.figure != null;
    const view = this.whole ? this.figured() : this.faced();
    const { middle } = view;
    const narrow = Math.max(1, view.wide / this.camera.aspect);
    const distance = view.tall / 2 / Math.tan(MathUtils.degToRad(FIELD_DEGREES / 2));
    this.controls.target.set(0, middle, 0);
    this.camera.position.set(0, middle + 0.006, distance * narrow);
    this.controls.minDistance = distance * 0.45;
    this.controls.maxDistance = distance * narrow * 1.8;
    const [x, y] = [MathUtils.degToRad(TURN_DEGREES.x), MathUtils.degToRad(TURN_DEGREES.y)];
    this.controls.minAzimuthAngle = -x;
    this.controls.maxAzimuthAngle = x;
    this.controls.minPolarAngle = Math.PI / 2 - y;
    this.controls.maxPolarAngle = Math.PI / 2 + y;
    this.controls.update();
  }

  /** Whether the camera looks at the whole figure. */
  get figure(): boolean {
    return this.whole;
  }

  private faced(): View {
    const tall = TALL / FILL[this.avatar?.bust === true ? "bust" : "head"];
    // Wide pictures show the bust from its top; narrow ones have height to spare and show it in the middle.
    return { tall, wide: 0.78, middle: this.camera.aspect < 0.78 ? 0 : TALL / 2 - tall * (0.5 - ABOVE) };
  }

  private figured(): View {
    const { figure, middle, height } = this.avatar as Avatar & { figure: { middle: Vector3; height: number } };
    const scale = TALL / height;
    return { tall: (figure.height * scale) / 0.74, wide: 0.62, middle: (figure.middle.y - middle.y - 0.07 * figure.height) * scale };
  }

  /** Draws nothing while something else stands in its place. */
  rest(resting: boolean): void {
    this.rate = 0;
    this.drawn = [];
    this.judged = 0;
    this.renderer.setAnimationLoop(resting ? null : (time) => this.draw(time));
  }

  /** Turns the camera by keys, in degrees. */
  turn(x: number, y: number): void {
    const to = this.camera.position.clone();
    to.applyAxisAngle(new Vector3(0, 1, 0), MathUtils.degToRad(x));
    to.y += Math.sin(MathUtils.degToRad(y)) * to.length();
    this.camera.position.copy(to);
    this.controls.update();
  }

  private fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0 || height === 0) return;
    this.renderer.setPixelRatio(this.pixels);
    this.renderer.setSize(width, height, false);
    const before = this.camera.aspect;
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    if (Math.abs(before - this.camera.aspect) > 0.05) this.frame();
  }

  private draw(time: number): void {
    const seconds = Math.min(0.1, (time - this.last) / 1000);
    this.last = time;
    this.face(this.row);
    this.avatar?.face.apply(this.row);
    this.avatar?.body?.apply(this.bones(), this.row.subarray(WIDTH, WIDTH + 3), seconds);
    this.turnHead(time / 1000);
    this.avatar?.update(seconds);
    this.controls.update();
    this.renderer.render(this.scene, this.camera);
    this.drawn.push(time);
    while (this.drawn.length > 0 && (this.drawn[0] as number) < time - 1000) this.drawn.shift();
    this.rate = this.drawn.length;
    this.judge(time);
  }

  private judge(time: number): void {
    if (document.hidden || this.avatar === null || this.judged === 0) this.judged = time;
    if (time - this.judged < JUDGE_MS) return;
    this.judged = time;
    if (this.best || this.rate >= SLOW_HZ || this.pixels <= LEAST_PIXELS) return;
    this.pixels = Math.max(LEAST_PIXELS, this.pixels * 0.75);
    this.fit();
  }

  /** A captured head turns as it was seen; else it sways a little, as nobody alive stands still. */
  private turnHead(time: number): void {
    const [yaw, pitch, roll] = [this.row[WIDTH] ?? 0, this.row[WIDTH + 1] ?? 0, this.row[WIDTH + 2] ?? 0];
    if (this.avatar?.body != null) {
      if (this.sway && !this.avatar.body.moved) this.swayed(time);
      else this.pivot.rotation.set(0, 0, 0);
    }
    // Live Link's signs: yaw to the person's right, pitch downwards; three's y axis turns to the left.
    else if (yaw !== 0 || pitch !== 0 || roll !== 0) this.pivot.rotation.set(pitch, -yaw, -roll, "YXZ");
    else if (this.sway) this.swayed(time);
    else this.pivot.rotation.set(0, 0, 0);
  }

  private swayed(time: number): void {
    const wave = (a: number, b: number): number => (Math.sin(time * a) + Math.sin(time * b + 1.7)) / 2;
    this.pivot.rotation.set(
      MathUtils.degToRad(SWAY_DEGREES.pitch) * wave(0.71, 1.13),
      MathUtils.degToRad(SWAY_DEGREES.yaw) * wave(0.43, 0.97),
      MathUtils.degToRad(SWAY_DEGREES.roll) * wave(0.37, 0.83),
    );
  }

  /** A square picture of the avatar at rest, seen from the front. */
  portrait(pixels: number): Promise<Blob> {
    const eye = this.camera.clone();
    eye.aspect = 1;
    eye.position.set(0, 0.012, TALL / 0.86 / 2 / Math.tan(MathUtils.degToRad(FIELD_DEGREES / 2)));
    eye.lookAt(0, 0, 0);
    eye.updateProjectionMatrix();
    const turned = this.pivot.rotation.clone();
    this.pivot.rotation.set(0, 0, 0);
    this.avatar?.face.apply(new Float32Array(ROW));
    this.avatar?.update(0);
    const size = this.renderer.getSize(new Vector2());
    this.renderer.setSize((2 * pixels) / this.renderer.getPixelRatio(), (2 * pixels) / this.renderer.getPixelRatio(), false);
    this.renderer.render(this.scene, eye);
    const done = new Promise<Blob>((give, fail) =>
      this.canvas.toBlob((blob) => (blob === null ? fail(new Error("no picture")) : give(blob)), "image/png"),
    );
    this.renderer.setSize(size.x, size.y, false);
    this.pivot.rotation.copy(turned);
    this.renderer.render(this.scene, this.camera);
    return done;
  }

  dispose(): void {
    this.renderer.setAnimationLoop(null);
    this.watcher.disconnect();
    this.controls.dispose();
    this.avatar?.dispose();
    this.renderer.dispose();
  }
}

/** Whether WebGL runs on the processor, where reflections and smooth edges cost too much. */
function software(): boolean {
  const probe = document.createElement("canvas").getContext("webgl2");
  if (probe === null) return false;
  const told = probe.getExtension("WEBGL_debug_renderer_info");
  const name = String(probe.getParameter(told === null ? probe.RENDERER : told.UNMASKED_RENDERER_WEBGL));
  probe.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

/** A warm key from the upper left, a cool fill, a rim that lifts hair and shoulders off the ground. */
function lights(): DirectionalLight[] {
  const place = (light: DirectionalLight, x: number, y: number, z: number): DirectionalLight => {
    light.position.set(x, y, z);
    return light;
  };
  return [
    place(new DirectionalLight(new Color(1, 0.94, 0.87), 1.5), -1.1, 0.9, 1.5),
    place(new DirectionalLight(new Color(0.84, 0.9, 1), 0.5), 1.4, 0.3, 1.2),
    place(new DirectionalLight(new Color(1, 0.95, 0.9), 1.6), 1.1, 1.0, -1.4),
  ];
}
