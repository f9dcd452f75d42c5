/**
 * Who frees tensors, and when.
 *
 * Every tensor holds memory outside JavaScript's heap. The engine tells V8 how much, so forgotten tensors are collected in
 * time, also in a loop that never awaits; but collecting costs more than freeing, and needs some hundred megabytes of
 * slack. So free early what is large: with `using`, with `dispose()`, or with {@link tidy} around a loop's body.
 *
 * When all together would hold more than the limit (by default 90 % of the machine's memory, see {@link setMemoryLimit}),
 * garbage is collected, and if that does not help the call throws `memory_limit`.
 */

import { engine } from "../engine/current.ts";
import { HooklensError } from "../engine/errors.ts";
import { requireFunction } from "./arguments.ts";
import { describe, isTensor } from "./base.ts";
import { closeScope, openScope, untrack } from "./scopes.ts";
import type { Tensor } from "./tensor.ts";

/** What {@link memory} counts. */
export interface MemoryUse {
  /** Tensors of this thread that are neither disposed nor collected. */
  readonly tensors: number;
  /** Bytes that the engine holds in this process: elements, and what recorded operations keep. */
  readonly bytes: number;
}

/**
 * Runs `body` and disposes every tensor made inside it, also when it throws, except those that it returns (also
 * within arrays, maps, sets and objects) and those passed to {@link keep}. May be nested.
 *
 * It frees tensors, not what holds some of its own: end models, key-value caches and what `runWithCache` records with
 * `using` or their dispose methods.
 *
 * `body` must not be async (`invalid_argument`): what other code makes while it waits would be disposed too. Use
 * `using` there, or `tidy` between awaits.
 *
 * @example
 * ```ts
 * const [x, w] = [randn([4, 16]), randn([16, 16])];
 * const loss = tidy(() => {
 *   const hidden = x.matmul(w).relu(); // freed
 *   return hidden.square().mean();     // kept
 * });
 * ```
 */
export function tidy<T>(body: () => T): T {
  requireFunction("tidy", body);
  const scope = openScope();
  let survivors: ReadonlySet<unknown> = new Set();
  try {
    const result = body();
    if (isThenable(result)) {
      // The body's later failure (its tensors are gone) is a consequence of this error, not a second one.
      result.then(undefined, () => undefined);
      throw new HooklensError(
        "invalid_argument",
        "tidy takes a function that is not async: await outside it, or free tensors with `using`",
      );
    }
    survivors = reachableTensors(result);
    return result;
  } finally {
    closeScope(scope, survivors);
  }
}

/** Lets a tensor outlive every running {@link tidy}; gives it back. */
export function keep<T extends Tensor>(tensor: T): T {
  untrack(tensor);
  return tensor;
}

/** How many tensors this thread has, and how much memory all of the process take. */
export function memory(): MemoryUse {
  return { tensors: engine().liveTensors(), bytes: engine().liveBytes() };
}

/**
 * Makes calls throw `memory_limit` where the engine would hold more than `bytes` in this process, all threads together; 0
 * lifts the limit.
 */
export function setMemoryLimit(bytes: number): void {
  if (typeof bytes !== "number" || !(bytes >= 0 && bytes <= Number.MAX_SAFE_INTEGER)) {
    throw new HooklensError(
      "invalid_argument",
      `setMemoryLimit: expected a number of bytes from 0 to ${Number.MAX_SAFE_INTEGER}, got ${describe(bytes)}`,
    );
  }
  engine().setMemoryLimit(Math.floor(bytes));
}

/** Whether `value` is a promise or acts like one. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return false;
  return "then" in value && typeof value.then === "function";
}

/** All tensors within a value. Iterative, so that long linked structures are no danger. */
function reachableTensors(root: unknown): Set<unknown> {
  const found = new Set<unknown>();
  const seen = new Set<object>();
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    if (isTensor(value)) found.add(value);
    else if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) continue;
    else if (value instanceof Map) for (const entry of value) pending.push(entry[0], entry[1]);
    else if (value instanceof Set) pending.push(...value);
    else for (const key of Object.keys(value)) pending.push(Reflect.get(value, key));
  }
  return found;
}
