/** The terminal page: joins stage, session and controls. */
import "./style.css";
import { Stage } from "../avatar/stage";
import { Jobs } from "../client/jobs";
import { Live } from "../client/live";
import { Avatars } from "./avatars";
import { capture, type Camera } from "./capture";
import { Controls } from "./controls";
import { Dock } from "./dock";
import { $, announce, group, notice } from "./dom";
import { jobPanels } from "./jobs";
import { Picture } from "./picture";
import { theme } from "./theme";

/** `#token=…&watch=…`: what stands behind # never leaves the browser. */
const wishes = new URLSearchParams(location.hash.slice(1));
const server = new URL(".", location.href).href;

const live = new Live({
  server,
  hello: { ...(wishes.has("watch") ? { watch: wishes.get("watch") as string } : {}) },
  ...(wishes.has("token") ? { token: wishes.get("token") as string } : {}),
});

function main(): void {
  theme();
  tabs();
  $("notice-close").addEventListener("click", () => ($("notice").hidden = true));
  status();
  jobPanels(new Jobs(server, () => live.hello.token));
  const stage = drawing();
  const avatars = stage === null ? null : new Avatars(stage);
  const dock = new Dock(live);
  const picture = new Picture(live, stage, server);
  new Controls(live, picture);
  const camera = capture(live);
  if (stage !== null) view(stage);
  if (live.connection.watching) onlooker();
  dropping({ avatars, dock, camera });
  void avatars?.first();
  live.connect();
  // For tests and the curious: what the avatar shows now.
  Object.assign(window, { kouxing: { live, stage, picture } });
}

/** Whoever watches another program's session moves nothing in it. */
function onlooker(): void {
  for (const id of ["dock", "face-block", "more-block"]) $(id).hidden = true;
}

/** Null where the browser cannot draw. */
function drawing(): Stage | null {
  try {
    const stage = new Stage($<HTMLCanvasElement>("canvas"), (into) => live.sample(into), wishes.get("quality") === "best");
    stage.bones = () => live.bones();
    return stage;
  } catch (error) {
    console.warn(error);
    $("loading").textContent = "This browser cannot draw in 3D (no WebGL). Try another one, or switch on hardware acceleration.";
    $("canvas").hidden = $("front").hidden = $("avatar-block").hidden = true;
    return null;
  }
}

function status(): void {
  live.on("state", ({ state, refusal }) => {
    $("status").dataset["state"] = state;
    const words = { connecting: "Connecting", live: "Live", broken: "Connecting again", closed: "Not connected" }[state];
    $("status-text").textContent = words;
    if (state === "closed" && refusal !== null) {
      if (refusal.code === "token") askToken();
      else notice(refusal.message);
    }
  });
  live.on("error", ({ message }) => notice(message));
}

function askToken(): void {
  const dialog = $<HTMLDialogElement>("token-dialog");
  if (dialog.open) return;
  dialog.showModal();
  $("token-form").onsubmit = () => {
    live.restart({ token: $<HTMLInputElement>("token").value.trim() });
    $<HTMLInputElement>("token").value = "";
  };
}

function tabs(): void {
  const all = [...document.querySelectorAll<HTMLElement>("[role=tab]")];
  const set = group(all, "aria-selected", (tab) => {
    set(tab);
    for (const one of all) $(one.getAttribute("aria-controls") as string).hidden = one !== tab;
  });
}

function view(stage: Stage): void {
  $("front").addEventListener("click", () => stage.frame());
  $("whole").addEventListener("click", () => {
    stage.frame(!stage.figure);
    $("whole").setAttribute("aria-pressed", String(stage.figure));
  });
  stage.shown = (avatar) => {
    $("whole").hidden = avatar.figure === null;
    $("whole").setAttribute("aria-pressed", String(stage.figure));
  };
  $("canvas").addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: [-6, 0], ArrowRight: [6, 0], ArrowUp: [0, 5], ArrowDown: [0, -5] }[event.key];
    if (turn === undefined) return;
    event.preventDefault();
    stage.turn(turn[0] as number, turn[1] as number);
  });
}

function dropping({ avatars, dock, camera }: { avatars: Avatars | null; dock: Dock; camera: Camera }): void {
  const stage = $("stage");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.toggle("over", event.target instanceof Node && !($("panel-live").hidden && !stage.contains(event.target)));
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) stage.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (file === undefined) return;
    if (/\.(glb|vrm)$/i.test(file.name) && avatars !== null) void avatars.take(file);
    else if (/\.task$/i.test(file.name)) void camera.take(file);
    else if (/^(audio|video)\//.test(file.type)) void dock.play(file);
    else notice("Drop an avatar (.glb, .vrm) or a sound.");
    announce(`${file.name} dropped.`);
  });
}

main();
