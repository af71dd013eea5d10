/** The file jobs: drop files, watch progress, get the result. */
import { type Job, JobError, type Jobs } from "../client/jobs";
import { $, announce, icon, make } from "./dom";

interface Slot {
  name: string;
  what: string;
  how: string;
  accept: string;
}

interface Choice {
  name: string;
  label: string;
  options: readonly (readonly [string, string])[];
}

interface Plan {
  kind: "dub" | "score" | "animate";
  lead: string;
  slots: Slot[];
  choices: Choice[];
  start: string;
  running: string;
}

const VIDEO = "video/*,.mp4,.mov,.mkv,.webm,.avi";
const SPEECH = `audio/*,.wav,.mp3,.m4a,.ogg,.opus,.flac,${VIDEO}`;

const PLANS: Plan[] = [
  {
    kind: "dub",
    lead: "The same footage, saying another voice's words. Only the mouth region changes.",
    slots: [
      { name: "face", what: "A video or a photo", how: "of one person who talks", accept: `${VIDEO},image/png,image/jpeg,image/webp` },
      { name: "speech", what: "A voice", how: "any sound, or a video with sound", accept: SPEECH },
    ],
    choices: [
      { name: "length", label: "How long", options: [["video", "As long as the video"], ["speech", "As long as the voice"], ["loop", "Loop the video until the voice ends"]] },
      { name: "mouth", label: "Mouth opening", options: [["1.0", "Natural"], ["0.7", "Smaller"], ["1.3", "Wider"]] },
    ],
    start: "Make the dub",
    running: "Dubbing",
  },
  {
    kind: "score",
    lead: "Are lips and sound in step, by how much are they off, and how sure is that?",
    slots: [{ name: "video", what: "A video with sound", how: "that shows who speaks", accept: VIDEO }],
    choices: [],
    start: "Measure",
    running: "Measuring",
  },
  {
    kind: "animate",
    lead: "A voice's face as a file: for Unreal, Blender, Unity, or your own program.",
    slots: [{ name: "speech", what: "A voice", how: "any sound, or a video with sound", accept: SPEECH }],
    choices: [
      { name: "format", label: "As", options: [["csv", "Live Link Face take (.csv)"], ["glb", "Animated head (.glb)"], ["json", "JSON"]] },
      { name: "method", label: "What moves", options: [["expression", "Whole face"], ["mouth", "Mouth and jaw"]] },
      { name: "emotion", label: "Emotion", options: [["", "None"], ["happy", "Happy"], ["sad", "Sad"], ["angry", "Angry"], ["fearful", "Fearful"], ["disgusted", "Disgusted"], ["surprised", "Surprised"]] },
    ],
    start: "Make the animation",
    running: "Animating",
  },
]; // prettier-ignore

const STAGES: Record<string, string> = {
  upload: "Sending the files", queued: "Waiting for its turn", look: "Looking at the face", "look again": "Looking again", track: "Following the face",
  listen: "Listening", speech: "Listening", paint: "Painting the mouth", write: "Writing", render: "Painting the mouth", find: "Looking for the face",
}; // prettier-ignore

export function jobPanels(jobs: Jobs): void {
  for (const plan of PLANS) new JobPanel(plan, jobs, $(`panel-${plan.kind}`));
}

class JobPanel {
  private readonly files = new Map<string, File>();
  private readonly choices = new Map<string, HTMLSelectElement>();
  private readonly start: HTMLButtonElement;
  private readonly form: HTMLFormElement;
  private readonly below = make("div", { class: "result", "aria-live": "polite" });
  private links: string[] = [];

  constructor(private readonly plan: Plan, private readonly jobs: Jobs, panel: HTMLElement) {
    this.start = make("button", { class: "primary", type: "submit", disabled: "" }, plan.start);
    this.form = make("form", { class: "job" }, make("p", { class: "lead" }, plan.lead));
    for (const slot of plan.slots) this.form.append(...this.slot(slot));
    for (const choice of plan.choices) this.form.append(this.choice(choice));
    this.form.append(this.start);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.run();
    });
    panel.append(this.form, this.below);
  }

  private slot(slot: Slot): HTMLElement[] {
    const what = make("span", { class: "what" }, slot.what);
    const how = make("span", { class: "how" }, slot.how);
    const button = make("button", { class: "drop", type: "button" }, icon("i-drop"), what, how);
    const picker = make("input", { type: "file", accept: slot.accept, class: "hidden", tabindex: "-1", "aria-hidden": "true" });
    picker.dataset["slot"] = `${this.plan.kind}-${slot.name}`;
    const take = (file: File | undefined): void => {
      if (file === undefined) return;
      this.files.set(slot.name, file);
      what.textContent = file.name;
      how.textContent = `${size(file.size)}. Choose another one`;
      button.classList.add("filled");
      this.start.disabled = this.plan.slots.some((one) => !this.files.has(one.name));
    };
    button.addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => take(picker.files?.[0]));
    button.addEventListener("dragover", (event) => {
      event.preventDefault();
      button.classList.add("over");
    });
    button.addEventListener("dragleave", () => button.classList.remove("over"));
    button.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      button.classList.remove("over");
      take(event.dataTransfer?.files[0]);
    });
    return [button, picker];
  }

  private choice(choice: Choice): HTMLElement {
    const field = make("select", { name: choice.name }, ...choice.options.map(([value, label]) => make("option", { value }, label)));
    this.choices.set(choice.name, field);
    return make("label", { class: "field" }, make("span", {}, choice.label), field);
  }

  private fields(): Record<string, File | string> {
    const fields: Record<string, File | string> = Object.fromEntries(this.files);
    for (const [name, field] of this.choices) if (field.value !== "") fields[name] = field.value;
    // Only the method that moves the whole face knows emotions.
    if (fields["method"] === "mouth") delete fields["emotion"];
    return fields;
  }

  private async run(): Promise<void> {
    for (const link of this.links.splice(0)) URL.revokeObjectURL(link);
    const words = make("span", {}, STAGES["upload"] as string);
    const share = make("span", {}, "");
    const bar = make("progress", { "aria-label": this.plan.running });
    const stop = make("button", { class: "quiet", type: "button" }, "Cancel");
    const cancel = new AbortController();
    stop.addEventListener("click", () => cancel.abort());
    this.below.replaceChildren(make("div", { class: "progress" }, make("p", { class: "words" }, words, share), bar, make("div", { class: "row" }, stop)));
    this.start.disabled = true;
    const began = Date.now();
    const show = (stage: string, part: number | null): void => {
      words.textContent = STAGES[stage] ?? stage.charAt(0).toUpperCase() + stage.slice(1);
      if (part === null) bar.removeAttribute("value");
      else bar.value = part;
      share.textContent = part === null ? "" : `${Math.floor(100 * part)} %${left(began, part)}`;
    };
    try {
      const job = await this.jobs.start(this.plan.kind, this.fields(), (part) => show("upload", part), cancel.signal);
      const seen = (now: Job): void => show(now.state === "queued" ? "queued" : (now.stage ?? this.plan.running), now.total ? Math.min(1, now.done / now.total) : null);
      const over = await this.jobs.watch(job.id, seen, cancel.signal);
      if (over.state !== "done") throw new JobError(reason(over), over.state);
      await this.show(over);
      announce(`${this.plan.running} is done.`);
    } catch (error) {
      if (!(error instanceof JobError)) console.error(error);
      const message = error instanceof JobError ? error.message : "Something went wrong in this page.";
      this.below.replaceChildren(...(error instanceof JobError && error.code === "cancelled" ? [] : [make("p", { class: "fault", role: "alert" }, message)]));
    } finally {
      this.start.disabled = false;
    }
  }

  private async show(job: Job): Promise<void> {
    const names = job.results.map((one) => (typeof one === "string" ? one : one.name));
    const parts: HTMLElement[] = [];
    for (const name of names) {
      const blob = await this.jobs.result(job.id, name);
      const link = URL.createObjectURL(blob);
      this.links.push(link);
      if (/\.json$/.test(name) && this.plan.kind === "score") {
        parts.unshift(verdict(JSON.parse(await blob.text()) as Record<string, unknown>));
        continue;
      }
      if (/\.(mp4|webm|mov|mkv)$/.test(name)) parts.push(make("video", { src: link, controls: "", playsinline: "", loop: "" }));
      if (/\.png$/.test(name)) parts.push(make("img", { src: link, class: "paper", alt: "Similarity of lips and sound over offsets and over time" }));
      parts.push(make("div", { class: "row" }, make("a", { class: "quiet", href: link, download: name }, icon("i-down"), `Save ${name}`)));
    }
    for (const line of job.warnings ?? []) parts.push(make("p", { class: "hint", role: "note" }, line));
    this.below.replaceChildren(...parts);
    this.below.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }
}

function size(bytes: number): string {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1000))} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function reason(job: Job): string {
  if (job.error === null) return job.state === "cancelled" ? "Cancelled." : "It did not work.";
  return typeof job.error === "string" ? job.error : job.error.message;
}

/** Time left, once it can be told. */
function left(began: number, part: number): string {
  const gone = (Date.now() - began) / 1000;
  if (part < 0.05 || gone < 3) return "";
  const seconds = (gone / part) * (1 - part);
  return seconds > 90 ? `, ${Math.round(seconds / 60)} min left` : `, ${Math.max(1, Math.round(seconds))} s left`;
}

/** The report of `kouxing score` in one sentence and a line below. */
export function verdict(report: Record<string, unknown>): HTMLElement {
  const offset = Number(report["offset_ms"] ?? Number.NaN);
  const words = String(report["verdict"] ?? "");
  const sure = Number(report["probability"] ?? report["certainty"] ?? Number.NaN);
  const title = words === "" ? "Measured" : words.charAt(0).toUpperCase() + words.slice(1);
  const off = Number.isFinite(offset) && Math.round(Math.abs(offset)) > 0 ? ` by ${Math.abs(Math.round(offset))} ms` : "";
  const below = [
    Number.isFinite(sure) ? `${Math.round(100 * sure)} % sure` : "",
    typeof report["lse_d"] === "number" ? `LSE-D ${(report["lse_d"] as number).toFixed(2)}` : "",
    typeof report["lse_c"] === "number" ? `LSE-C ${(report["lse_c"] as number).toFixed(2)}` : "",
  ].filter((one) => one !== "");
  return make("div", { class: "verdict" }, make("strong", {}, title + (words.includes("step") ? "" : off)), make("p", { class: "fine" }, below.join(" · ")));
}
