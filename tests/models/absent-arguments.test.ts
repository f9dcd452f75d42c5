/** Whoever writes JavaScript may leave arguments out: no public function answers with an error of the language's own. */

import { describe, expect, test } from "vitest";
import * as library from "../../ts/index.ts";
import { type Callable, classes, methods, Toy } from "../support/public-api.ts";
import { CONFIG, TOKENS } from "./small.ts";

const ABSENT: readonly (readonly unknown[])[] = [
  [],
  [undefined],
  [null],
  [undefined, undefined],
  [null, null],
];

/** What is thrown or rejected with, if anything. */
async function outcome(run: () => unknown): Promise<unknown> {
  try {
    const result = run();
    if (typeof result === "object" && result !== null && Symbol.iterator in result) {
      for (const _ of result as Iterable<unknown>) break;
    }
    await result;
    return null;
  } catch (error) {
    return error;
  }
}

const makers: Readonly<Record<string, () => object>> = {
  Tensor: () => library.randn([2, 3], { seed: 0 }),
  TensorView: () => library.randn([2, 3], { seed: 0 }).at(0),
  HookPoint: () => new Toy().point,
  HookedRootModule: () => new Toy(),
  HookedTransformer: () => library.HookedTransformer.fromConfig(CONFIG),
  ActivationCache: () => library.HookedTransformer.fromConfig(CONFIG).runWithCache(TOKENS)[1],
  Intervention: () => library.zero(),
  HookScope: () => new Toy().hooks({}),
  LensHandle: () => new Toy().point.addHook(() => {}),
};

describe.each(Object.keys(makers))("methods of %s", (kind) => {
  const make = makers[kind] as () => object;
  test.each(methods(make()))("%s", async (name) => {
    // For classes of this library only.
    if (["attach", "newCache", "recorder", "runRecorded", "runScoped", "whyMissing"].includes(name)) return;
    // What forward takes is the module's own affair.
    if (kind === "HookedRootModule" && /^(forward|runWith)/.test(name)) return;
    for (const args of ABSENT) {
      const object = make();
      const error = await outcome(() => (Reflect.get(object, name) as Callable).apply(object, [...args]));
      if (error !== null) expect(error, `${name}(${args.join(", ")})`).toBeInstanceOf(library.HooklensError);
    }
  });
});

const functions = Object.entries(library).filter(
  ([name, value]) => typeof value === "function" && /^[a-z]/.test(name) && name !== "hooklensError",
) as [string, Callable][];

test.each(functions)("function %s", async (_, run) => {
  for (const args of ABSENT) {
    const error = await outcome(() => run(...args));
    if (error !== null) expect(error, args.join(", ")).toBeInstanceOf(library.HooklensError);
  }
});

test.each(classes)("new %s and its static methods", async (name, Class) => {
  const built = new Set(["Module", "HookedRootModule", "HookPoint", "AdamW", "Adam", "SGD"]);
  for (const args of ABSENT) {
    if (built.has(name)) {
      const error = await outcome(() => new Class(...args));
      if (error !== null) expect(error, args.join(", ")).toBeInstanceOf(library.HooklensError);
    }
    for (const method of Object.getOwnPropertyNames(Class)) {
      const value: unknown = Reflect.get(Class, method);
      if (typeof value !== "function" || ["isTensor", "prototype"].includes(method)) continue;
      const error = await outcome(() => (value as Callable).apply(Class, [...args]));
      if (error !== null)
        expect(error, `${method}(${args.join(", ")})`).toBeInstanceOf(library.HooklensError);
    }
  }
});
