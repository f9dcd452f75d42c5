/** The functions behind the numbers that the engine knows callbacks by. */

import { engine } from "../engine/current.ts";
import type { EngineTensor, Trampoline } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { describe, handleOf, isTensor, wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { HookFn, HookPointLike } from "./hook-fn.ts";
import { type HookPoint, layerOf } from "./hook-point.ts";

interface Callback {
  readonly fn: HookFn;
  readonly point: HookPoint;
}

const callbacks = new Map<number, Callback>();
let next = 1;
let installed = false;

/** Keeps a function until {@link forgetCallbacks}; gives its number. */
export function registerCallback(fn: HookFn, point: HookPoint): number {
  if (!installed) {
    engine().setTrampoline(trampoline);
    installed = true;
  }
  const number = next++;
  callbacks.set(number, { fn, point });
  return number;
}

/** Drops functions that neither a handle nor a recorded graph refers to any more. */
export function forgetCallbacks(numbers: readonly number[]): void {
  for (const number of numbers) callbacks.delete(number);
}

const trampoline: Trampoline = (number, _id, dir, name, value) => {
  const callback = callbacks.get(number);
  if (callback === undefined) return null;
  return run(callback, dir, name, value);
};

function run(
  { fn, point }: Callback,
  dir: "fwd" | "bwd",
  name: string,
  value: EngineTensor,
): EngineTensor | null {
  const conversion = point.hookConversion;
  const passing: Tensor = wrap(value, point.axesOf(value));
  const seen = conversion === null ? passing : conversion.convert(passing);
  const result = replacement(fn(seen, viewOf(point, name)), dir, name);
  if (result === null) return null;
  return handleOf(conversion === null ? result : conversion.revert(result));
}

/** The tensor in what a hook returned, if any. */
function replacement(returned: unknown, dir: "fwd" | "bwd", name: string): Tensor | null {
  if (returned === undefined || returned === null) return null;
  if (isTensor(returned)) return returned;
  if (dir === "bwd" && Array.isArray(returned) && returned.length === 1 && isTensor(returned[0]))
    return returned[0];
  const promised = typeof returned === "object" && "then" in returned;
  throw hooklensError(
    "hook_result",
    promised
      ? `hook at '${name}' returned a promise: hooks run synchronously`
      : `hook at '${name}' returned ${describe(returned)}: expected a Tensor or nothing`,
    { hook: name },
  );
}

function isNamed(point: HookPoint, name: string): point is HookPoint & { readonly name: string } {
  return point.name === name;
}

/** The point as a hook under `name` sees it: itself, or its context under an alias. */
function viewOf(point: HookPoint, name: string): HookPointLike {
  if (isNamed(point, name)) return point;
  return {
    name,
    get ctx() {
      return point.ctx;
    },
    layer: () => layerOf(name),
  };
}
