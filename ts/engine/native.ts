/** Finds and loads the native addon. */

import { createRequire } from "node:module";
import { totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { VERSION } from "../version.ts";
import type { LoadedEngine } from "./current.ts";
import { HooklensError } from "./errors.ts";
import { messageOf } from "./message.ts";
import { type EngineModule, versionProblem, wire } from "./wire.ts";

const require = createRequire(import.meta.url);

/** The share of the machine's memory that tensors may take unless `setMemoryLimit` says otherwise. */
const DEFAULT_MEMORY_SHARE = 0.9;

function platforms(device: string): string[] {
  const { platform, arch } = process;
  const cpu = platform === "linux" ? [`linux-${arch}-gnu`, `linux-${arch}-musl`] : [`${platform}-${arch}`];
  const cuda = device === "cpu" ? [] : [`${platform}-${arch}-cuda`];
  return device === "cuda" ? cuda : [...cuda, ...cpu];
}

/** What to try, best first: the installed package of a platform, then the folder in which a checkout builds it. */
function candidates(device: string): string[] {
  return platforms(device).flatMap((name) => [
    `@hooklens/${name}`,
    fileURLToPath(new URL(`../../npm/${name}/hooklens.${name}.node`, import.meta.url)),
  ]);
}

function reason(error: unknown): string {
  const message = messageOf(error);
  return message.split("\n", 1)[0] ?? message;
}

function memoryLimit(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  const total = totalmem();
  const usable = constrained > 0 && constrained < total ? constrained : total;
  return Math.floor(usable * DEFAULT_MEMORY_SHARE);
}

/**
 * Loads the addon. `HOOKLENS_NATIVE` names a file to take instead of searching; `HOOKLENS_DEVICE` is `cpu`, `cuda`, or
 * by default whichever works, CUDA first.
 *
 * @throws HooklensError `engine_unavailable`, listing what was tried and why each did not load.
 */
export function loadNative(env: Readonly<Record<string, string | undefined>> = process.env): LoadedEngine {
  const path = env["HOOKLENS_NATIVE"];
  const device = env["HOOKLENS_DEVICE"] || "auto";
  if (!["auto", "cpu", "cuda"].includes(device) && !/^cuda:\d+$/.test(device)) {
    throw new HooklensError("invalid_argument", `HOOKLENS_DEVICE must be cpu, cuda or auto, got '${device}'`);
  }
  const tried = path ? [path] : candidates(device.replace(/:\d+$/, ""));
  const rejected: string[] = [];
  for (const source of tried) {
    try {
      const native: EngineModule = require(source);
      const problem = versionProblem(native.engineVersion());
      if (problem === null) return { engine: wire(native, "node", memoryLimit()), source, rejected };
      rejected.push(`${source}: ${problem}`);
    } catch (error) {
      rejected.push(`${source}: ${reason(error)}`);
    }
  }
  const lines = rejected.map((line) => `\n  ${line}`).join("");
  throw new HooklensError(
    "engine_unavailable",
    `no native engine of hooklens ${VERSION} could be loaded for ${process.platform}-${process.arch}` +
      ` (Node ${process.versions.node}). Install hooklens without --omit=optional, or in a checkout run` +
      ` \`npm run build\`. Tried:${lines}`,
    { platform: process.platform, arch: process.arch, tried: rejected },
  );
}
