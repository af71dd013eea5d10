/// <reference types="vite/client" />

declare module "*.glb?url" {
  const address: string;
  export default address;
}
