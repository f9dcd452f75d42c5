/**
 * What a hook throws comes out of the engine call that ran the hook as the very same value, whatever it is.
 *
 * An exception cannot travel through the engine: between the hook and the caller lie frames of another language. So
 * {@link catching} keeps the value here and tells the engine only that there is one; the engine undoes what it was doing
 * and fails with code `callback`; {@link guard}, around the call from outside, takes the value and throws it on.
 *
 * Calls nest (a hook may run the model again), but only one value is ever on its way: it is taken by the innermost
 * guard, and if the hook around it lets it pass, it is kept anew.
 */

import type { Trampoline } from "./engine.ts";
import { HooklensError, parseEngineError } from "./errors.ts";

let kept: { readonly value: unknown } | null = null;

/** A trampoline that never throws. */
export function catching(run: Trampoline): Trampoline {
  return (callback, backward, name, value) => {
    try {
      return run(callback, backward, name, value);
    } catch (thrown) {
      kept = { value: thrown };
      return false;
    }
  };
}

/** What to throw on when an engine call failed with `error`. */
export function rethrown(error: unknown): unknown {
  const found = error instanceof HooklensError ? error : parseEngineError(error);
  if (found?.code === "callback" && kept !== null) {
    const { value } = kept;
    kept = null;
    return value;
  }
  return found ?? error;
}

/** Runs an engine call; its errors come out as {@link HooklensError}, those of hooks as they were thrown. */
export function guard<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw rethrown(error);
  }
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** Where a guarded function keeps the one it guards, so that a second copy of this module replaces the first's guard. */
const GUARDED = Symbol.for("hooklens.guarded");

function guarded(method: Method & { [GUARDED]?: Method }): Method {
  const inner = method[GUARDED] ?? method;
  const outer = function (this: unknown, ...args: unknown[]): unknown {
    try {
      return Reflect.apply(inner, this, args);
    } catch (error) {
      throw rethrown(error);
    }
  };
  return Object.assign(outer, { [GUARDED]: inner });
}

/** Puts {@link guard} around every method and getter of an object, in place. */
export function guardMembers(target: object): void {
  for (const [name, found] of Object.entries(Object.getOwnPropertyDescriptors(target))) {
    if (name === "constructor" || !found.configurable) continue;
    if (typeof found.value === "function") found.value = guarded(found.value);
    if (found.get) found.get = guarded(found.get);
    Object.defineProperty(target, name, found);
  }
}
