/**
 * Whatever JavaScript passes in, wherever: each public function and method either does something sensible or answers
 * with an error of this library, never with one of the language's own.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import * as library from "../../ts/index.ts";
import { CONFIG, TOKENS } from "../models/small.ts";
import { type Callable, classes, methods, Toy } from "../support/public-api.ts";

const disposed = library.ones([2]);
disposed.dispose();

/** What nobody should pass. */
const STRANGE: readonly (readonly [string, unknown])[] = [
  ["undefined", undefined],
  ["null", null],
  ["{}", {}],
  ["[]", []],
  ["'x'", "x"],
  ["NaN", Number.NaN],
  ["-1.5", -1.5],
  ["true", true],
  ["5n", 5n],
  ["a symbol", Symbol("s")],
  ["a function", () => undefined],
  ["an object without prototype", Object.create(null)],
  ["a list of nothing", [null]],
  ["a list of symbols", [Symbol("s")]],
  ["a map", new Map()],
  ["a disposed tensor", disposed],
];

/** What may stand before and behind the strange one, so that it is looked at. */
const PLAIN: readonly (readonly [string, () => unknown])[] = [
  ["nothing", () => undefined],
  ["tensors", () => library.ones([2, 2])],
  ["numbers", () => 1],
  ["lists of numbers", () => [1, 1]],
  ["names", () => "hook_embed"],
  ["functions", () => () => undefined],
  ["tokens", () => TOKENS],
  ["options", () => ({})],
];

const LONGEST = 3;

/** All rows of arguments: one of them strange, the others alike. */
function* rows(): Generator<readonly [string, readonly unknown[]]> {
  for (const [other, plain] of PLAIN) {
    for (let at = 0; at < LONGEST; at++) {
      // Nothing but undefined behind a strange one is the same as it alone.
      const length = other === "nothing" ? at + 1 : LONGEST;
      for (const [name, strange] of STRANGE) {
        for (const count of new Set([at + 1, length])) {
          const args = Array.from({ length: count }, (_, i) => (i === at ? strange : plain()));
          yield [`${name} in place ${at} of ${count}, others ${other}`, args];
        }
      }
    }
  }
}

/** What is thrown or rejected with, if anything. */
async function outcome(run: () => unknown): Promise<unknown> {
  try {
    const result = run();
    if (typeof result === "object" && result !== null && Symbol.asyncIterator in result) {
      for await (const _ of result as AsyncIterable<unknown>) break;
    } else if (typeof result === "object" && result !== null && Symbol.iterator in result) {
      for (const _ of result as Iterable<unknown>) break;
    }
    if (result instanceof Promise) await result;
    return null;
  } catch (error) {
    return error;
  }
}

const folder = mkdtempSync(join(tmpdir(), "hooklens-strange-"));
const home = process.cwd();
beforeAll(() => {
  process.chdir(folder);
  library.setLogger({ warn: () => undefined });
});
afterEach(() => {
  library.setLogger({ warn: () => undefined });
  library.setMemoryLimit(0);
});
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

/** The rows of arguments that end in options, by the names of these, which the refusal of an unknown one lists. */
async function* optionRows(make: () => Callable): AsyncGenerator<readonly [string, readonly unknown[]]> {
  for (const [other, plain] of PLAIN) {
    for (let at = 0; at < LONGEST; at++) {
      const before = () => Array.from({ length: at }, plain);
      const error = await outcome(() => make()(...before(), { zyxwvut: 1 }));
      const message = error instanceof library.HooklensError ? error.message : "";
      const [, names = ""] = / has no option 'zyxwvut'; it takes (.*)$/.exec(message) ?? [];
      for (const option of names === "" ? [] : names.split(", ")) {
        for (const [name, strange] of STRANGE) {
          yield [`${option}: ${name} in place ${at}, others ${other}`, [...before(), { [option]: strange }]];
        }
      }
    }
  }
}

/** Tries all rows of arguments; `make` gives what is called. */
async function tryAll(make: () => Callable): Promise<void> {
  const wrong: string[] = [];
  const attempt = async ([name, args]: readonly [string, readonly unknown[]]) => {
    const run = make();
    const error = await outcome(() => run(...args));
    if (error === null || error instanceof library.HooklensError) return;
    const stack = error instanceof Error ? error.stack?.split("\n").slice(0, 4).join("\n") : String(error);
    wrong.push(`${name}: ${stack}`);
  };
  for (const row of rows()) await attempt(row);
  for await (const row of optionRows(make)) await attempt(row);
  expect(wrong.slice(0, 3).join("\n"), `${wrong.length} rows of arguments`).toBe("");
}

const functions = Object.entries(library).filter(
  ([name, value]) =>
    typeof value === "function" &&
    /^[a-z]/.test(name) &&
    !["hooklensError", "parseEngineError"].includes(name),
) as [string, Callable][];

describe("functions", () => {
  test.each(functions)("%s", async (_, run) => {
    await tryAll(() => run);
  });
});

const model = library.HookedTransformer.fromConfig(CONFIG);
const makers: Readonly<Record<string, () => object>> = {
  Tensor: () => library.randn([2, 2], { seed: 0 }),
  TensorView: () => library.randn([2, 2], { seed: 0 }).at(0),
  HookPoint: () => new Toy().point,
  HookedRootModule: () => new Toy(),
  HookedTransformer: () => library.HookedTransformer.fromConfig(CONFIG),
  ActivationCache: () =>
    model.runWithCache(TOKENS, { namesFilter: ["hook_embed", "blocks.0.hook_resid_pre"] })[1],
  KeyValueCache: () => model.createKvCache(),
  Intervention: () => library.zero(),
  HookScope: () => new Toy().hooks({}),
  LensHandle: () => new Toy().point.addHook(() => {}),
  AdamW: () => new library.AdamW([library.parameter(library.ones([2]))]),
  SGD: () => new library.SGD([library.parameter(library.ones([2]))]),
  Picture: () => library.heatmap([[1]]),
};

/** For classes of this library only. */
const INTERNAL = new Set([
  "attach",
  "newCache",
  "recorder",
  "runRecorded",
  "runScoped",
  "whyMissing",
  "replaceHandle",
  "scalarOf",
  "put",
  "update",
  "slotNames",
]);

describe.each(Object.keys(makers))("methods of %s", (kind) => {
  const make = makers[kind] as () => object;
  const names = methods(make()).filter(
    // What forward takes is the module's own affair.
    (name) => !INTERNAL.has(name) && !(kind === "HookedRootModule" && /^(forward|runWith)/.test(name)),
  );
  test.each(names)("%s", async (name) => {
    // Models take long to make, and calls that fail leave them as they were.
    const kept = kind === "HookedTransformer" && name !== "dispose" ? make() : null;
    await tryAll(() => {
      const object = kept ?? make();
      return (...args) => (Reflect.get(object, name) as Callable).apply(object, args);
    });
  });
});

const built = ["Module", "HookedRootModule", "HookPoint", "AdamW", "Adam", "SGD", "Tokenizer"];

describe("classes", () => {
  test.each(classes.filter(([name]) => built.includes(name)))("new %s", async (_, Class) => {
    await tryAll(
      () =>
        (...args) =>
          new Class(...args),
    );
  });
  const statics = classes.flatMap(([name, Class]) =>
    Object.getOwnPropertyNames(Class)
      .filter((method) => method !== "prototype" && typeof Reflect.get(Class, method) === "function")
      .map((method) => [`${name}.${method}`, Class, method] as const),
  );
  test.each(statics)("%s", async (_, Class, method) => {
    await tryAll(
      () =>
        (...args) =>
          (Reflect.get(Class, method) as Callable).apply(Class, args),
    );
  });
});
