/** The device's sound: one AudioContext, a microphone, playback at the session's times. */
import captureAddress from "../worklets/capture?worker&url";
import playbackAddress from "../worklets/playback?worker&url";
import type { Captured } from "../worklets/capture";
import type { PlaybackOrder, PlaybackReport } from "../worklets/playback";
import { SAMPLE_HZ } from "./names";

/** A sentence for the person in front of the screen, with what to do. */
export class SoundError extends Error {}

export class Sound {
  private playback: AudioWorkletNode | null = null;
  private readonly volume: GainNode;
  private capture: { stream: MediaStream; node: AudioWorkletNode; source: MediaStreamAudioSourceNode } | null = null;
  private anchor: PlaybackOrder | null = null;
  private ready: Promise<void> | null = null;
  private captures = false;
  private turn = 0;
  /** Called four times a second with what is being heard. */
  reported: (report: PlaybackReport) => void = () => undefined;
  /** Called when `running` may have changed: telephone calls and sleeping tabs interrupt the device's sound. */
  changed: () => void = () => undefined;

  private constructor(readonly context: AudioContext) {
    context.onstatechange = () => this.changed();
    this.volume = new GainNode(context);
    this.volume.connect(context.destination);
  }

  /** A context may start before a click; it then stays silent until `resume`. */
  static make(): Sound {
    return new Sound(new AudioContext({ latencyHint: "interactive" }));
  }

  /** Must be called from a click or a key: browsers start sound only then. */
  async resume(): Promise<void> {
    this.ready ??= this.load();
    await this.ready;
    if (this.context.state !== "running") await this.context.resume();
  }

  private async load(): Promise<void> {
    await this.context.audioWorklet.addModule(playbackAddress);
    const node = new AudioWorkletNode(this.context, "kouxing-playback", { numberOfInputs: 0, outputChannelCount: [1] });
    node.port.onmessage = (event: MessageEvent<PlaybackReport>) => this.reported(event.data);
    node.connect(this.volume);
    this.playback = node;
    if (this.anchor !== null) node.port.postMessage(this.anchor);
    this.changed();
  }

  get running(): boolean {
    return this.context.state === "running" && this.playback !== null;
  }

  set loudness(value: number) {
    this.volume.gain.value = value;
  }

  /** Seconds from the AudioContext's clock to the loudspeaker. */
  get latency(): number {
    return Math.max(0, this.context.currentTime - this.heard());
  }

  /** AudioContext time that leaves the loudspeaker now. */
  heard(): number {
    const stamp = this.context.getOutputTimestamp?.();
    if (stamp?.contextTime !== undefined && stamp.performanceTime !== undefined && stamp.contextTime > 0) {
      const time = stamp.contextTime + (performance.now() - stamp.performanceTime) / 1000;
      // Some browsers report stale stamps after a pause.
      if (Math.abs(time - this.context.currentTime) < 1) return time;
    }
    return this.context.currentTime - (this.context.outputLatency || this.context.baseLatency || 0);
  }

  anchored(place: number, time: number): void {
    this.anchor = { kind: "anchor", place, time };
    this.playback?.port.postMessage(this.anchor);
  }

  play(place: number, samples: Float32Array): void {
    const order: PlaybackOrder = { kind: "sound", place, samples };
    this.playback?.port.postMessage(order);
  }

  flush(): void {
    const order: PlaybackOrder = { kind: "flush" };
    this.playback?.port.postMessage(order);
  }

  /**
   * Opens the microphone; `heard` gets 20 ms blocks at 16 kHz. False where it was overtaken while the person was
   * asked: by `stopListening`, by another `listen`.
   *
   * @throws SoundError: no microphone, no permission, or the page is not served securely.
   */
  async listen(heard: (block: Captured) => void): Promise<boolean> {
    if (this.capture !== null) return true;
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (devices === undefined) {
      throw new SoundError("Browsers give a microphone to secure pages only: open this page by https or on localhost.");
    }
    const turn = ++this.turn;
    const overtaken = (): boolean => turn !== this.turn || this.context.state === "closed";
    let stream: MediaStream | null = null;
    try {
      await this.resume();
      if (overtaken()) return false;
      stream = await asked(devices);
      if (overtaken()) return false;
      if (!this.captures) await this.context.audioWorklet.addModule(captureAddress);
      this.captures = true;
      if (overtaken()) return false;
      this.capture = this.captured(stream, heard);
      return true;
    } catch (error) {
      if (overtaken()) return false;
      throw error;
    } finally {
      if (stream !== null && stream !== this.capture?.stream) end(stream);
    }
  }

  private captured(stream: MediaStream, heard: (block: Captured) => void): NonNullable<Sound["capture"]> {
    const node = new AudioWorkletNode(this.context, "kouxing-capture", { numberOfOutputs: 0 });
    node.port.onmessage = (event: MessageEvent<Captured>) => heard(event.data);
    const source = this.context.createMediaStreamSource(stream);
    source.connect(node);
    return { stream, node, source };
  }

  get listening(): boolean {
    return this.capture !== null;
  }

  /** Called when the device ends the microphone by itself (unplugged, permission withdrawn). */
  onMicrophoneEnd(ended: () => void): void {
    for (const track of this.capture?.stream.getTracks() ?? []) track.onended = ended;
  }

  stopListening(): void {
    this.turn++;
    if (this.capture === null) return;
    this.capture.source.disconnect();
    this.capture.node.port.onmessage = null;
    this.capture.node.port.postMessage("stop");
    end(this.capture.stream);
    this.capture = null;
  }

  /** Decodes a sound (or a video's sound) to 16 kHz mono. */
  async decode(bytes: ArrayBuffer): Promise<Float32Array> {
    let whole: AudioBuffer;
    try {
      whole = await this.context.decodeAudioData(bytes);
    } catch (error) {
      throw new SoundError("This browser cannot read that sound; choose a WAV, MP3, M4A, OGG or FLAC file.", { cause: error });
    }
    const length = Math.max(1, Math.ceil(whole.duration * SAMPLE_HZ));
    const offline = new OfflineAudioContext(1, length, SAMPLE_HZ);
    const source = new AudioBufferSourceNode(offline, { buffer: whole });
    source.connect(offline.destination);
    source.start();
    return (await offline.startRendering()).getChannelData(0);
  }

  async close(): Promise<void> {
    this.stopListening();
    await this.context.close();
  }
}

async function asked(devices: MediaDevices): Promise<MediaStream> {
  try {
    return await devices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: true },
    });
  } catch (error) {
    throw new SoundError(refusal(error), { cause: error });
  }
}

function end(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

function refusal(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "The microphone was not allowed. Allow it in the browser's address bar, then try again.";
  if (name === "NotFoundError") return "No microphone was found. Plug one in, then try again.";
  if (name === "NotReadableError") return "Another program holds the microphone. Close it there, then try again.";
  return "The microphone could not be opened.";
}
