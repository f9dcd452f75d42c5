import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

/**
 * The only things that the built page may do: run its own files and WebAssembly, and fetch models, from sites by https and
 * from servers of this machine.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "connect-src 'self' https: http://localhost:* http://127.0.0.1:*",
  "worker-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Puts the policy into the built page. In development Vite's own scripts and styles are inline. */
function contentSecurityPolicy(): Plugin {
  return {
    name: "content-security-policy",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
        injectTo: "head-prepend",
      },
    ],
  };
}

/** Emits the service worker that keeps the built files: see `offline.js`. */
function offline(): Plugin {
  return {
    name: "offline",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const built = Object.keys(bundle).filter((name) => name !== "index.html");
      const files = ["./", ...built];
      const version = createHash("sha256").update(files.join("|")).digest("hex").slice(0, 16);
      const source = readFileSync(new URL("offline.js", import.meta.url), "utf8")
        .replace("const FILES = [];", `const FILES = ${JSON.stringify(files)};`)
        .replace(/const NAME = .*/, `const NAME = "hooklens-explorer-${version}";`);
      this.emitFile({ type: "asset", fileName: "offline.js", source });
    },
  };
}

export default defineConfig({
  root: import.meta.dirname,
  // Relative, so that the folder works under any path.
  base: "./",
  resolve: { alias: { hooklens: new URL("../ts/browser.ts", import.meta.url).pathname } },
  plugins: [contentSecurityPolicy(), offline()],
  worker: { format: "es" },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    // Nothing inline: the policy would not let it.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { fs: { allow: [".."] } },
});
