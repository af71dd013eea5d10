import { copyFileSync, mkdirSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

/** MediaPipe's engine is fetched by name at run time, so the bundler does not see it. */
function mediapipe(out: string): Plugin {
  return {
    name: "mediapipe-engine",
    apply: "build",
    writeBundle() {
      mkdirSync(`${out}/mediapipe`, { recursive: true });
      for (const name of ["vision_wasm_module_internal.js", "vision_wasm_module_internal.wasm"]) {
        copyFileSync(`node_modules/@mediapipe/tasks-vision/wasm/${name}`, `${out}/mediapipe/${name}`);
      }
    },
  };
}

/** What the page may load, told by itself as well as by the server's header; only the built page has no inline parts. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "connect-src 'self' blob: data:",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

function policy(): Plugin {
  return {
    name: "content-security-policy",
    apply: "build",
    transformIndexHtml: () => [{ tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" }],
  };
}

const out = "../src/kouxing/server/web";

export default defineConfig({
  base: "./",
  plugins: [policy(), mediapipe(out)],
  assetsInclude: ["**/*.glb"],
  worker: { format: "es" },
  build: {
    outDir: out,
    emptyOutDir: true,
    target: "es2022",
    // data: addresses would need a wider Content-Security-Policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
    rollupOptions: {
      input: { index: "index.html", kouxing: "src/element.ts" },
      preserveEntrySignatures: "exports-only",
      output: {
        entryFileNames: (chunk) => (chunk.name === "kouxing" ? "kouxing.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  server: {
    fs: { allow: [".."] },
    proxy: { "/v1": { target: process.env.KOUXING ?? "http://127.0.0.1:8000", ws: true } },
  },
});
