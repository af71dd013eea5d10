/** Client library of kouxing's live server: connection, timing, sound. Drawing is the terminal's affair (`../avatar`). */
export { COEFFICIENTS, COEFFICIENT_HZ, EMOTIONS, type Emotion, PLACE, ROTATIONS, ROW, SAMPLE_HZ, WIDTH } from "./names";
export * as protocol from "./protocol";
export { Connection, type Listener, type Refusal, type State } from "./connection";
export { Live, type Bones, type LiveEvents, type LiveOptions, liveAddress, type Meters, type Source } from "./live";
export { Playout } from "./playout";
export { Sound, SoundError } from "./sound";
export { type Row, Track } from "./track";
export { type Job, JobError, Jobs } from "./jobs";
export { Rendered, RenderedError, type RenderedEvents, type RenderedInfo, type RenderedOptions, type RenderedSource } from "./rendered";
