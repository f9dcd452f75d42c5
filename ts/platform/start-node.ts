/** Makes this process run the library: says where it is, and how an engine is started when one is first needed. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { installStarter, type LoadedEngine } from "../engine/current.ts";
import { HooklensError } from "../engine/errors.ts";
import { loadNative } from "../engine/native.ts";
import { startWasm, startWasmSync, type WasmGlue } from "../engine/wasm.ts";
import { nodePlatform } from "./node.ts";
import { installPlatform } from "./platform.ts";
import { withFiles } from "./wasm-files.ts";
// Whatever makes tensors makes them of this class, which bundlers would leave out of pages that do not name it.
import "../tensor/tensor.ts";

const require = createRequire(import.meta.url);

function notThere(path: string, error: unknown): HooklensError {
  const detail = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
  return new HooklensError(
    "engine_unavailable",
    `the engine as WebAssembly: ${detail}. In a checkout node scripts/build-wasm.mjs makes it (Node ${process.versions.node}; 20.19 or newer is needed)`,
    { tried: [path] },
    { cause: error },
  );
}

/** Glue is a module of the language; Node has `require` for these from 20.19 and 22.12 on. */
function glue(): WasmGlue {
  const path = "../../wasm/hooklens.js";
  try {
    return require(path);
  } catch (error) {
    throw notThere(path, error);
  }
}

function reachingFiles(loaded: LoadedEngine): LoadedEngine {
  return { ...loaded, engine: withFiles(loaded.engine) };
}

/** Starts the engine as WebAssembly, also where a native one would run. */
export function loadWasm(): LoadedEngine {
  const path = fileURLToPath(new URL("../../wasm/hooklens_bg.wasm", import.meta.url));
  const functions = glue();
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw notThere(path, error);
  }
  return reachingFiles(startWasmSync(functions, bytes, path));
}

/**
 * Starts the engine that `HOOKLENS_ENGINE` names: `native`, which is the default, or `wasm`.
 *
 * @throws HooklensError `engine_unavailable` if it is not there, `invalid_argument` for another name.
 */
export function loadEngine(env: Readonly<Record<string, string | undefined>> = process.env): LoadedEngine {
  const asked = env["HOOKLENS_ENGINE"] || "native";
  if (asked === "native") return loadNative(env);
  if (asked === "wasm") return loadWasm();
  throw new HooklensError("invalid_argument", `HOOKLENS_ENGINE must be native or wasm, got '${asked}'`);
}

installPlatform(nodePlatform);
installStarter({
  now: () => loadEngine(),
  start: async ({ wasm }) =>
    wasm === undefined ? loadEngine() : reachingFiles(await startWasm(async () => glue(), wasm)),
});
