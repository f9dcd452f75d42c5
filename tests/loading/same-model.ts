/** Whether two models are the same to the bit. */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { HookedTransformer, HooklensError, type LoadOptions } from "../../ts/index.ts";
import type { ModelLocation } from "../../ts/models/sources/choose-source.ts";
import { GOLDEN } from "./server.ts";

/** Folders of all fixture models that are checkpoints of decoders. */
export const FOLDERS: readonly string[] = ["", "hf/"].flatMap((parent) =>
  readdirSync(join(GOLDEN, parent))
    .map((name) => parent + name)
    .filter((name) => existsSync(join(GOLDEN, name, "expected.safetensors")))
    .filter(
      (name) =>
        existsSync(join(GOLDEN, name, "config.json")) || existsSync(join(GOLDEN, name, "tl_config.json")),
    ),
);

async function outcome(loading: Promise<HookedTransformer>): Promise<HookedTransformer | string> {
  try {
    return await loading;
  } catch (error) {
    if (error instanceof HooklensError) return error.code;
    throw error;
  }
}

/** Loads a folder and the same from elsewhere: equal logits, or the same refusal. Gives whether they loaded. */
export async function expectSame(
  folder: string,
  elsewhere: ModelLocation,
  options: LoadOptions = {},
): Promise<boolean> {
  const plain: LoadOptions = { ...options };
  const read = await outcome(HookedTransformer.fromPretrained(folder, { ...plain, cache: false }));
  const brought = await outcome(HookedTransformer.fromPretrained(elsewhere, options));
  if (typeof read === "string" || typeof brought === "string") {
    const codeOf = (result: HookedTransformer | string) => (typeof result === "string" ? result : "loaded");
    expect(codeOf(brought)).toBe(codeOf(read));
    return false;
  }
  const tokens = [1, 5, 2, 0, 3];
  expect(brought.forward(tokens).toTypedArray()).toEqual(read.forward(tokens).toTypedArray());
  expect(brought.cfg).toEqual(read.cfg);
  expect(brought.tokenizer === null).toBe(read.tokenizer === null);
  read.dispose();
  brought.dispose();
  return true;
}
