import type { HookedTransformer } from "../models/hooked-transformer.ts";
import type { Terminal } from "./program.ts";
import { withProgress } from "./progress.ts";

/** Loads a model, with a bar where that takes long. The library is loaded now, so that help needs no engine. */
export async function loadModel(name: string, terminal: Terminal): Promise<HookedTransformer> {
  const { HookedTransformer } = await import("../models/hooked-transformer.ts");
  return withProgress("loading", terminal, (onProgress) =>
    HookedTransformer.fromPretrained(name, { onProgress }),
  );
}

/** The same terminal, without progress where data were asked for. */
export function quietFor(json: true | undefined, terminal: Terminal): Terminal {
  return json ? { ...terminal, progress: undefined } : terminal;
}
