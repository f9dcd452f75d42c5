/** What is measured of hooklens: the same in a page and in Node. */

import type * as Library from "../../ts/index.ts";

/** Rows and columns of the product: those of an MLP's first weight in GPT-2 small, at 256 positions. */
export const PRODUCT = { rows: 256, inner: 768, columns: 3072 } as const;

/** Positions of the prompt. */
export const POSITIONS = 64;

/** The ids of the prompt. */
export function prompt(vocabulary: number): number[] {
  return Array.from({ length: POSITIONS }, (_, i) => (i * 7919 + 13) % vocabulary);
}

/** Every so many logits are compared. */
const STRIDE = 97;

/** Some logits of each position: enough to see whether two programs compute the same. */
export function sampled(logits: Float32Array): number[] {
  return Array.from(logits.filter((_, i) => i % STRIDE === 0));
}

/** A program that is measured. */
export interface Subject {
  /** What it is, for the results. */
  readonly about: string;
  /** Runs a workload once: milliseconds. */
  run(workload: string): Promise<number>;
  /** See {@link sampled}. */
  sample(): Promise<number[]>;
}

/** What is measured of all; what follows is ours alone. */
export const SHARED = ["forward", "matmul"] as const;
/** The observed and changed forwards, each told apart from a plain one. */
export const OURS = [
  "forward, float16",
  "runWithCache of everything",
  "a JavaScript hook on every point",
  "loss and the gradient of every point",
] as const;
type Workload = (typeof SHARED)[number] | (typeof OURS)[number];

type Used = Pick<typeof Library, "HookedTransformer" | "tidy" | "randn">;

/**
 * hooklens with the model of a folder, in float32 and in float16. What is computed is read out, as a `Float32Array`, which
 * is how what it is compared with gives it.
 */
export async function hooklens(
  { HookedTransformer, tidy, randn }: Used,
  about: string,
  folder: string,
): Promise<Subject> {
  const model = await HookedTransformer.fromPretrained(folder, { cache: false });
  const half = await HookedTransformer.fromPretrained(folder, { cache: false, dtype: "float16" });
  const ids = [prompt(model.cfg.d_vocab)];
  const x = randn([PRODUCT.rows, PRODUCT.inner], { seed: 1 });
  const weight = randn([PRODUCT.inner, PRODUCT.columns], { seed: 2 });
  const identity = (value: Library.Tensor) => value;
  const points = [...model.hookDict.values()].filter((point) => point.isDefault);
  const hooked = points.map((point): [Library.HookPoint, typeof identity] => [point, identity]);
  const all: Readonly<Record<Workload, () => void>> = {
    forward: () => model.forward(ids).toFloat32Array(),
    matmul: () => x.matmul(weight).toFloat32Array(),
    "forward, float16": () => half.forward(ids).float().toFloat32Array(),
    "runWithCache of everything": () => {
      const [logits, cache] = model.runWithCache(ids);
      logits.toFloat32Array();
      cache.clear();
    },
    "a JavaScript hook on every point": () => model.runWithHooks(ids, { fwdHooks: hooked }).toFloat32Array(),
    "loss and the gradient of every point": () => {
      const [loss, cache] = model.runWithCache(ids, { returnType: "loss", inclBwd: true });
      loss.item();
      cache.clear();
    },
  };
  return {
    about,
    run: async (name) => {
      if (!(name in all)) throw new Error(`no workload '${name}'`);
      const run = all[name as Workload];
      const start = performance.now();
      tidy(() => {
        run();
      });
      return performance.now() - start;
    },
    sample: async () => tidy(() => sampled(model.forward(ids).toFloat32Array())),
  };
}
