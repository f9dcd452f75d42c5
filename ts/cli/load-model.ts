import type { HookedTransformer } from "../models/hooked-transformer.ts";
import type { Terminal } from "./program.ts";
import { progressBar } from "./progress.ts";

/** Loads a model, with a bar where that takes long. The library is loaded now, so that help needs no engine. */
export async function loadModel(name: string, terminal: Terminal): Promise<HookedTransformer> {
  const { HookedTransformer } = await import("../models/hooked-transformer.ts");
  const bar = progressBar("loading", terminal);
  try {
    return await HookedTransformer.fromPretrained(name, { onProgress: bar.update });
  } finally {
    bar.stop();
  }
}

/** The same terminal, without progress where data were asked for. */
export function quietFor(json: true | undefined, terminal: Terminal): Terminal {
  return json ? { ...terminal, progress: undefined } : terminal;
}
