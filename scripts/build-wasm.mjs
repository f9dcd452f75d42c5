// Builds the engine for browsers, with wasm-pack, into wasm/ at the root: `hooklens.js` and `hooklens_bg.wasm`.
import { spawnSync } from "node:child_process";
import { readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { fail, root } from "./steps.mjs";
import { wasmToolchain } from "./wasm-toolchain.mjs";

const { compiler, env, wasmPack } = wasmToolchain();
console.error(compiler);

const made = join(root, ".cache", "wasm");
rmSync(made, { recursive: true, force: true });
const args = ["build", join(root, "crates/wasm"), "--profile", "wasm", "--target", "web"];
// What wasm-opt makes is smaller as it is and larger compressed, which is what is downloaded.
// It would look for a compiled standard library, which a compiler that builds it from source has not; wasm-bindgen it finds.
args.push("--mode", "force", "--no-opt", "--no-pack", "--out-dir", made, "--out-name", "hooklens");
const RUSTFLAGS = "-C target-feature=+simd128";
const built = spawnSync(wasmPack, args, {
  cwd: root,
  stdio: ["ignore", process.stderr, process.stderr],
  env: { ...env, CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: RUSTFLAGS },
});
if (built.error) fail(`${wasmPack}: ${built.error.message}`);
if (built.status !== 0) fail(`${wasmPack} ${args.join(" ")} ended with ${built.status ?? built.signal}`);

// wasm-pack's own .gitignore would keep npm from packing anything.
rmSync(join(made, ".gitignore"), { force: true });
const out = join(root, "wasm");
rmSync(out, { recursive: true, force: true });
renameSync(made, out);
const bytes = readFileSync(join(out, "hooklens_bg.wasm"));
const kib = (n) => `${(n / 1024).toFixed(0)} KiB`;
console.error(
  `${join(out, "hooklens_bg.wasm")}: ${kib(bytes.length)}, ${kib(gzipSync(bytes, { level: 9 }).length)} gzip`,
);
