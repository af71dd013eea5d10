/// <reference types="vite/client" />

declare module "*.glb?url" {
  const address: string;
  export default address;
}

/** Shared with the server's own page. */
declare module "*/rendered/step.js" {
  export function keepInStep(peer: RTCPeerConnection): void;
}
