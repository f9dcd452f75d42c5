/** Calls an operation of the engine by name: tensors in, plain arguments by name, tensors out. */

import { engine } from "../engine/current.ts";
import type { Arg, DType, EngineTensor } from "../engine/engine.ts";
import { HooklensError } from "../engine/errors.ts";
import { describe, handleOf, type TensorBase, wrap } from "./base.ts";
import type { Tensor } from "./tensor.ts";

/** Arguments by name; what is left out, undefined or null takes the operation's default. */
export type Args = Readonly<Record<string, Arg | undefined>>;

interface Known {
  readonly number: number;
  readonly params: readonly string[];
}

let known: Map<string, Known> | undefined;

function lookUp(name: string): Known {
  known ??= new Map(
    engine()
      .ops()
      .map((op, number) => [op.name, { number, params: op.params }]),
  );
  const found = known.get(name);
  if (found === undefined)
    throw new HooklensError("unknown_op", `this engine has no operation '${name}'`, { name });
  return found;
}

/** The engine's names are Rust's. */
function methodName(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Runs an operation on engine handles. */
export function callEngine(name: string, inputs: readonly EngineTensor[], args: Args): EngineTensor[] {
  const op = lookUp(name);
  const positional: Arg[] = new Array(op.params.length).fill(null);
  for (const key in args) {
    const value = args[key];
    if (value === undefined || value === null) continue;
    const at = op.params.indexOf(key);
    if (at < 0) {
      throw new HooklensError(
        "invalid_argument",
        `${name} has no argument '${key}'; it takes ${op.params.join(", ")}`,
      );
    }
    if (typeof value === "object" && !Array.isArray(value) && !ArrayBuffer.isView(value)) {
      throw new HooklensError(
        "invalid_argument",
        `${methodName(name)}: expected a plain value for ${methodName(key)}, got ${describe(value)}; its arguments are given one by one, not in an object`,
        { argument: methodName(key) },
      );
    }
    positional[at] = value;
  }
  return engine().call(op.number, inputs, positional);
}

/** Runs an operation; gives all its results, whose axes are all called `axes`. */
export function runMany(
  name: string,
  inputs: readonly TensorBase[],
  args: Args = {},
  axes: readonly string[] = [],
): Tensor[] {
  return callEngine(name, inputs.map(handleOf), args).map((handle) => wrap(handle, axes));
}

/** Runs an operation of one result, whose axes are called `axes`. */
export function run<Axes extends readonly string[] = readonly string[], D extends DType = DType>(
  name: string,
  inputs: readonly TensorBase[],
  args: Args = {},
  axes: readonly string[] = [],
): Tensor<Axes, D> {
  const [handle] = callEngine(name, inputs.map(handleOf), args);
  if (handle === undefined) throw new HooklensError("internal", `${name} gave no result`);
  return wrap(handle, axes);
}

/** Runs an operation of exactly two results. */
export function runPair(
  name: string,
  inputs: readonly TensorBase[],
  args: Args = {},
  axes: readonly string[] = [],
): [Tensor, Tensor] {
  const [first, second] = runMany(name, inputs, args, axes);
  if (first === undefined || second === undefined) {
    throw new HooklensError("internal", `${name} gave fewer than two results`);
  }
  return [first, second];
}

/** Runs an operation of exactly three results. */
export function runTriple(
  name: string,
  inputs: readonly TensorBase[],
  args: Args = {},
  axes: readonly string[] = [],
): [Tensor, Tensor, Tensor] {
  const [first, second, third] = runMany(name, inputs, args, axes);
  if (first === undefined || second === undefined || third === undefined) {
    throw new HooklensError("internal", `${name} gave fewer than three results`);
  }
  return [first, second, third];
}
