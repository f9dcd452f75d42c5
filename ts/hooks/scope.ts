/** Scoped hooks: there until the end of a block, whatever happens in it. */

import type { LensHandle } from "./handle.ts";

/** What a scope's end does. */
interface Ending {
  readonly resetHooksEnd: boolean;
  clearContexts(): void;
  leave(): void;
}

/**
 * The hooks that one `hooks()` call attached. They are gone when the scope is disposed, at the latest at the end of the
 * `using` block; hooks attached by anyone else stay.
 */
export class HookScope<Model = unknown> implements Disposable {
  /** The model whose hooks these are. */
  readonly model: Model;
  /** How deep this scope is nested, from 1. */
  readonly level: number;
  /** What the scope attached, in order. */
  readonly handles: readonly LensHandle[];
  #ending: Ending | null;

  /** @internal */
  constructor(model: Model, level: number, handles: readonly LensHandle[], ending: Ending) {
    this.model = model;
    this.level = level;
    this.handles = handles;
    this.#ending = ending;
  }

  /** Ends the scope: detaches its hooks, last first. A second call does nothing. */
  dispose(): void {
    const ending = this.#ending;
    if (ending === null) return;
    this.#ending = null;
    try {
      if (ending.resetHooksEnd) {
        for (const handle of this.handles.toReversed()) handle.remove();
        ending.clearContexts();
      }
    } finally {
      ending.leave();
    }
  }

  /** Lets `using scope = model.hooks(…)` end the scope with the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Runs `body`, then ends the scope, whatever `body` did; a promise is waited for. Internal. */
export function within<Result>(scope: HookScope, body: () => Result): Result {
  let result: Result;
  try {
    result = body();
  } catch (thrown) {
    scope.dispose();
    throw thrown;
  }
  if (isPromise(result)) return result.finally(() => scope.dispose()) as Result;
  scope.dispose();
  return result;
}

/** Whether something is to be awaited. Internal. */
export function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise;
}
