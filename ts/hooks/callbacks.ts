/**
 * The functions behind the numbers that the engine knows callbacks by.
 *
 * A function usually refers to the model that it is attached to. So nothing global may keep it: its {@link Callbacks}
 * do, which belong to the model's {@link HookStore}, and a model that is forgotten with hooks attached is collected like
 * any other object. Only a recorded graph, which JavaScript cannot see, keeps them longer: see {@link holdWhileRecorded}.
 */

import { engine } from "../engine/current.ts";
import type { EngineRegistry, EngineTensor, Trampoline } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { describe, handleOf, isTensor, wrap } from "../tensor/base.ts";
import { isThenable } from "../tensor/memory.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { HookFn, HookPointLike } from "./hook-fn.ts";
import { type HookPoint, layerOf } from "./hook-point.ts";

interface Callback {
  readonly fn: HookFn;
  readonly point: HookPoint;
}

const callbacks = new Map<number, WeakRef<Callback>>();
const collected = new FinalizationRegistry<number>((number) => callbacks.delete(number));
let next = 1;
let installed = false;

/** The functions of one registry. */
export class Callbacks {
  readonly #owned = new Map<number, Callback>();

  /** Keeps a function until {@link forget}, or until this object is collected; gives its number. */
  add(fn: HookFn, point: HookPoint): number {
    if (!installed) {
      engine().setTrampoline(trampoline);
      installed = true;
    }
    const number = next++;
    const callback = { fn, point };
    this.#owned.set(number, callback);
    callbacks.set(number, new WeakRef(callback));
    collected.register(callback, number);
    return number;
  }

  /** Drops functions that neither a handle nor a recorded graph refers to any more. */
  forget(numbers: readonly number[]): void {
    for (const number of numbers) {
      this.#owned.delete(number);
      callbacks.delete(number);
    }
  }

  get size(): number {
    return this.#owned.size;
  }
}

/** Something that must live as long as graphs that may run its hooks. */
interface Recorded {
  readonly registry: EngineRegistry;
}

const held = new Set<Recorded>();
const collections = new FinalizationRegistry<null>(release);
let watching = false;

/** Keeps `store`, and with it its functions, as long as a graph is alive that recorded its hooks. */
export function holdWhileRecorded(store: Recorded): void {
  if (held.has(store) || store.registry.recorded() === 0) return;
  held.add(store);
  watch();
}

/** Graphs end when tensors are collected: asks again after the next garbage collection, which takes a new object. */
function watch(): void {
  if (watching) return;
  watching = true;
  collections.register({}, null);
}

function release(): void {
  watching = false;
  for (const store of held) if (store.registry.recorded() === 0) held.delete(store);
  if (held.size > 0) watch();
}

const trampoline: Trampoline = (number, backward, name, value) => {
  const callback = callbacks.get(number)?.deref();
  if (callback === undefined) return null;
  return run(callback, backward, name, value);
};

function run(
  { fn, point }: Callback,
  backward: boolean,
  name: string | null,
  value: EngineTensor,
): EngineTensor | null {
  const conversion = point.hookConversion;
  const passing: Tensor = wrap(value, point.axesOf(value));
  const seen = conversion === null ? passing : conversion.convert(passing);
  const result = replacement(fn(seen, viewOf(point, name)), backward, name ?? point.name);
  if (result === null) return null;
  return handleOf(conversion === null ? result : conversion.revert(result));
}

/** The tensor in what a hook returned, if any. */
function replacement(returned: unknown, backward: boolean, name: string | null): Tensor | null {
  if (returned === undefined || returned === null) return null;
  if (isTensor(returned)) return returned;
  if (backward && Array.isArray(returned) && returned.length === 1 && isTensor(returned[0]))
    return returned[0];
  const promised = isThenable(returned);
  // What an async hook fails with later is a consequence of this error, not a second one.
  if (promised) returned.then(undefined, () => undefined);
  throw hooklensError(
    "hook_result",
    promised
      ? `hook at '${name}' returned a promise: hooks run synchronously`
      : `hook at '${name}' returned ${describe(returned)}: expected a Tensor or nothing`,
    { hook: name },
  );
}

function isNamed(point: HookPoint): point is HookPoint & { readonly name: string } {
  return point.name !== null;
}

/** The point as a hook sees it: itself, or its context under an alias. */
function viewOf(point: HookPoint, alias: string | null): HookPointLike {
  if (alias === null && isNamed(point)) return point;
  const name = alias ?? "";
  return {
    name,
    get ctx() {
      return point.ctx;
    },
    layer: () => layerOf(name),
  };
}
