/** Scoped hooks: there until the end of a block, whatever happens in it. */

import { isThenable } from "../tensor/memory.ts";
import type { LensHandle } from "./handle.ts";
import { detachAll, type Entry } from "./hook-store.ts";

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
  readonly #handles: readonly LensHandle[];
  readonly #captures: readonly Entry[];
  #ending: Ending | null;

  /** @internal */
  constructor(
    model: Model,
    level: number,
    handles: readonly LensHandle[],
    captures: readonly Entry[],
    ending: Ending,
  ) {
    this.model = model;
    this.level = level;
    this.#handles = handles;
    this.#captures = captures;
    this.#ending = ending;
  }

  /** What the scope attached, in order. */
  get handles(): readonly LensHandle[] {
    return [...this.#handles, ...this.#captures.map(({ handle }) => handle)];
  }

  /**
   * Ends the scope: detaches its hooks, last first. A second call does nothing. If one cannot be detached, the others
   * still are, and the first error is thrown at the end.
   */
  dispose(): void {
    const ending = this.#ending;
    if (ending === null) return;
    this.#ending = null;
    const errors: unknown[] = [];
    const attempt = (step: () => void) => {
      try {
        step();
      } catch (thrown) {
        errors.push(thrown);
      }
    };
    if (ending.resetHooksEnd) {
      attempt(() => detachAll(this.#captures));
      for (const handle of this.#handles.toReversed()) attempt(() => handle.remove());
      attempt(() => ending.clearContexts());
    }
    attempt(() => ending.leave());
    if (errors.length > 0) throw errors[0];
  }

  /** The same as {@link dispose}: whatever attaches hooks gives something with `remove()`. */
  remove(): void {
    this.dispose();
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
    try {
      scope.dispose();
    } catch {
      // What the body threw came first, and is the likelier cause.
    }
    throw thrown;
  }
  if (isThenable(result)) return Promise.resolve(result).finally(() => scope.dispose()) as Result;
  scope.dispose();
  return result;
}
