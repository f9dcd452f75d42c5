/**
 * Modules: a tree of parts with names. A part is a property that holds a module, or an array or map of modules; its
 * name is the path to it, such as `blocks.0.attn`. Properties are read when needed, so a tree may change at any time.
 */

import { hooklensError } from "../engine/errors.ts";
import { handleOf, isTensor } from "../tensor/base.ts";
import { isParameter } from "../tensor/gradients.ts";
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
    { strict = true }: LoadStateOptions = {},
  ): void {
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
    writeStateDict(path, this.stateDict());
  }

  /** Reads the parameters from a safetensors file, checked as in {@link loadStateDict}. */
  async load(path: string, options?: LoadStateOptions): Promise<void> {
    this.loadStateDict(readStateDict(path), options);
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

/** Spares long arrays of numbers a generator an element. */
function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function* ownParameters(module: Module, prefix: string, seen: Set<Tensor>): Generator<[string, Tensor]> {
  for (const [key, value] of Object.entries(module)) yield* parametersIn(value, prefix + key, seen);
}

function* parametersIn(value: unknown, name: string, seen: Set<Tensor>): Generator<[string, Tensor]> {
  if (isTensor(value)) {
    if (!isParameter(value) || seen.has(value)) return;
    seen.add(value);
    yield [name, value];
  } else if (Array.isArray(value)) {
    for (const [i, element] of value.entries()) {
      if (isObject(element)) yield* parametersIn(element, `${name}.${i}`, seen);
    }
  }
}

function* below(parent: Module, prefix: string, seen: Set<object>): Generator<[string, Module]> {
  for (const [key, value] of Object.entries(parent)) yield* within(value, prefix + key, seen);
}

function* within(value: unknown, name: string, seen: Set<object>): Generator<[string, Module]> {
  if (value instanceof Module) {
    if (seen.has(value)) return;
    seen.add(value);
    yield [name, value];
    yield* below(value, `${name}.`, seen);
  } else if (Array.isArray(value)) {
    if (seen.has(value)) return;
    seen.add(value);
    for (const [i, element] of value.entries()) {
      if (isObject(element)) yield* within(element, `${name}.${i}`, seen);
    }
  } else if (value instanceof Map) {
    if (seen.has(value)) return;
    seen.add(value);
    for (const [key, element] of value) {
      if (!(element instanceof Module || Array.isArray(element) || element instanceof Map)) continue;
      if (typeof key !== "string" || key === "" || key.includes(".")) {
        throw hooklensError(
          "invalid_argument",
          `'${name}' maps ${typeof key === "string" ? `'${key}'` : `a ${typeof key}`} to a module: keys must be names without dots`,
        );
      }
      yield* within(element, `${name}.${key}`, seen);
    }
  }
}
