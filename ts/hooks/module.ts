/**
 * Modules: a tree of parts with names. A part is a property that holds a module, or an array, map, set or plain object of
 * modules, to any depth; its name is the path to it, such as `blocks.0.attn`. Parameters are found in the same places.
 * Properties are read when needed, so a tree may change at any time.
 */

import { hooklensError } from "../engine/errors.ts";
import { requireObject } from "../tensor/arguments.ts";
import { handleOf, isTensor } from "../tensor/base.ts";
import { isParameter } from "../tensor/gradients.ts";
import { tidy } from "../tensor/memory.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { readStateDict, writeStateDict } from "./state-file.ts";

/** What {@link Module.loadStateDict} does about names that only one side has. */
export interface LoadStateOptions {
  /**
   * Refuse names that are missing or superfluous. Otherwise they are left out.
   * @default true
   */
  readonly strict?: boolean;
}

/**
 * A part of a model: holds parameters, hook points and other modules in its properties.
 *
 * @category Parts and parameters
 */
export class Module {
  /** The path from the root; null until the root's `setup()` has run. */
  name: string | null = null;
  /** Whether the module is being trained: see {@link train}. */
  training = true;

  /** All modules below this one with their paths, depth first in the order of definition, each once. */
  *namedModules(): Generator<[name: string, module: Module]> {
    const seen = new Set<object>([this]);
    yield* below(this, "", seen);
  }

  /** All parameters with their paths, each once under its first path. */
  *namedParameters(): Generator<[name: string, parameter: Tensor]> {
    const seen = new Set<Tensor>();
    yield* ownParameters(this, "", seen);
    for (const [name, module] of this.namedModules()) yield* ownParameters(module, `${name}.`, seen);
  }

  /** All parameters, each once. */
  *parameters(): Generator<Tensor> {
    for (const [, parameter] of this.namedParameters()) yield parameter;
  }

  /** The parameters by path. The tensors are the module's own: assigning to them changes it. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.namedParameters());
  }

  /**
   * Overwrites the parameters with the tensors of those names. All names and shapes are checked first, so a refusal
   * changes nothing.
   *
   * @throws `weight_mismatch` for names that only one side has (unless `strict` is false) and for other shapes.
   */
  loadStateDict(
    state: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
    options: LoadStateOptions = {},
  ): void {
    checkOptionKeys("loadStateDict", options, ["strict"]);
    const { strict = true } = options;
    requireObject("loadStateDict", "an object or a Map of names and tensors", state);
    const given = state instanceof Map ? state : new Map(Object.entries(state));
    const own = this.stateDict();
    const missing = [...own.keys()].filter((name) => !given.has(name));
    const superfluous = [...given.keys()].filter((name) => !own.has(name));
    if (strict && missing.length + superfluous.length > 0) {
      throw hooklensError(
        "weight_mismatch",
        `the state does not fit: ${describeNames("missing", missing)}${missing.length && superfluous.length ? "; " : ""}${describeNames("not in the module", superfluous)}`,
        { missing, superfluous },
      );
    }
    const pairs: [Tensor, Tensor][] = [];
    for (const [name, parameter] of own) {
      const value = given.get(name);
      if (value === undefined) continue;
      if (!isTensor(value))
        throw hooklensError("invalid_argument", `state '${name}' is not a tensor`, { name });
      const [expected, got] = [parameter.shape, value.shape];
      if (expected.length !== got.length || expected.some((size, i) => size !== got[i])) {
        throw hooklensError(
          "weight_mismatch",
          `weight '${name}': expected shape [${expected.join(", ")}], got [${got.join(", ")}]`,
          { name, expected, got },
        );
      }
      pairs.push([parameter, value]);
    }
    for (const [parameter, value] of pairs) handleOf(parameter).assign(handleOf(value));
  }

  /** Writes the parameters to a safetensors file. */
  async save(path: string): Promise<void> {
    // A built-in transformer's state is made for each call, and holds its weights as long as nobody frees it.
    tidy(() => writeStateDict(path, this.stateDict()));
  }

  /** Reads the parameters from a safetensors file, checked as in {@link loadStateDict}. */
  async load(path: string, options?: LoadStateOptions): Promise<void> {
    const state = readStateDict(path);
    try {
      this.loadStateDict(state, options);
    } finally {
      for (const tensor of state.values()) tensor.dispose();
    }
  }

  /** Sets {@link training} here and in all modules below. */
  train(on = true): this {
    this.training = on;
    for (const [, module] of this.namedModules()) module.training = on;
    return this;
  }

  /** `train(false)`. */
  eval(): this {
    return this.train(false);
  }
}

function describeNames(what: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  const shown = names.slice(0, 8).map((name) => `'${name}'`);
  return `${what}: ${shown.join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** What an array, set, map or plain object holds, by key; null for anything else. */
function contents(value: object): Iterable<[key: unknown, element: unknown]> | null {
  if (Array.isArray(value)) return value.entries();
  if (value instanceof Set) return [...value].entries();
  if (value instanceof Map) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype ? Object.entries(value) : null;
}

/** Keys are parts of paths. Asked only where something is found under one. */
function checkKey(container: string, key: unknown): void {
  if (typeof key === "number" || (typeof key === "string" && key !== "" && !key.includes("."))) return;
  throw hooklensError(
    "invalid_argument",
    `'${container}' maps ${typeof key === "string" ? `'${key}'` : `a ${typeof key}`} to a part of the model: keys must be names without dots`,
  );
}

type Found<T> = Generator<[name: string, found: T]>;

/** What `find` finds in the elements of a container, under their paths. */
function* inside<T>(
  container: object,
  name: string,
  seen: Set<object>,
  find: (value: object, name: string, seen: Set<object>) => Found<T>,
): Found<T> {
  const elements = seen.has(container) ? null : contents(container);
  if (elements === null) return;
  seen.add(container);
  for (const [key, element] of elements) {
    // Spares long arrays of numbers a generator an element.
    if (!isObject(element)) continue;
    const path = `${name}.${typeof key === "string" || typeof key === "number" ? key : ""}`;
    for (const found of find(element, path, seen)) {
      checkKey(name, key);
      yield found;
    }
  }
}

function* ownParameters(module: Module, prefix: string, seen: Set<object>): Found<Tensor> {
  for (const [key, value] of Object.entries(module)) {
    if (isObject(value)) yield* parametersIn(value, prefix + key, seen);
  }
}

function* parametersIn(value: object, name: string, seen: Set<object>): Found<Tensor> {
  if (!isTensor(value)) return yield* inside(value, name, seen, parametersIn);
  if (!isParameter(value) || seen.has(value)) return;
  seen.add(value);
  yield [name, value];
}

function* below(parent: Module, prefix: string, seen: Set<object>): Found<Module> {
  for (const [key, value] of Object.entries(parent)) {
    if (isObject(value)) yield* modulesIn(value, prefix + key, seen);
  }
}

function* modulesIn(value: object, name: string, seen: Set<object>): Found<Module> {
  if (!(value instanceof Module)) return yield* inside(value, name, seen, modulesIn);
  if (seen.has(value)) return;
  seen.add(value);
  yield [name, value];
  yield* below(value, `${name}.`, seen);
}
