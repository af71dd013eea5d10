/** What an AudioWorkletGlobalScope offers beside JavaScript; TypeScript's DOM library leaves it out. */
declare const currentFrame: number;
declare const currentTime: number;
declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
  constructor(options?: unknown);
}
declare function registerProcessor(name: string, maker: new (options?: never) => AudioWorkletProcessor): void;
