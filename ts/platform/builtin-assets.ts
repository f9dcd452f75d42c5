/**
 * The addresses of the built-in models in a page. Each is written out, because bundlers copy what they find in exactly this
 * form.
 */

const TINY: readonly (readonly [string, () => URL])[] = [
  ["config.json", () => new URL("../../models/tiny/config.json", import.meta.url)],
  ["generation_config.json", () => new URL("../../models/tiny/generation_config.json", import.meta.url)],
  ["model.safetensors", () => new URL("../../models/tiny/model.safetensors", import.meta.url)],
  ["tokenizer.json", () => new URL("../../models/tiny/tokenizer.json", import.meta.url)],
  ["tokenizer_config.json", () => new URL("../../models/tiny/tokenizer_config.json", import.meta.url)],
];

const INDUCTION: readonly (readonly [string, () => URL])[] = [
  ["generation_config.json", () => new URL("../../models/induction/generation_config.json", import.meta.url)],
  ["model.safetensors", () => new URL("../../models/induction/model.safetensors", import.meta.url)],
  ["tl_config.json", () => new URL("../../models/induction/tl_config.json", import.meta.url)],
  ["tokenizer.json", () => new URL("../../models/induction/tokenizer.json", import.meta.url)],
  ["tokenizer_config.json", () => new URL("../../models/induction/tokenizer_config.json", import.meta.url)],
];

/** The files of a built-in model; null for a name that is none. */
export function builtinAssets(name: string): ReadonlyMap<string, URL> | null {
  const found = name === "tiny" ? TINY : name === "induction" ? INDUCTION : null;
  return found && new Map(found.map(([path, url]) => [path, url()]));
}
