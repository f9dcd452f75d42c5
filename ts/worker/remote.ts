/** Something that lives in a worker. */

import { hooklensError } from "../engine/errors.ts";
import type { Control, Line } from "./line.ts";

const forgotten = new FinalizationRegistry<{ readonly line: Line; readonly id: number }>(({ line, id }) =>
  line.release(id),
);

/**
 * Something that lives in a worker and that a page refers to. Free it with `using` or {@link dispose}; what is forgotten
 * is freed once the page's garbage collector notices, which knows nothing of the worker's memory.
 */
export abstract class Remote implements Disposable {
  readonly #line: Line;
  readonly #id: number;
  #disposed = false;

  /** @internal */
  constructor(line: Line, id: number) {
    this.#line = line;
    this.#id = id;
    forgotten.register(this, { line, id }, this);
  }

  /** Whether it was let go of. */
  get isDisposed(): boolean {
    return this.#disposed;
  }

  /** Its number, for a call of `what`. @internal */
  useIn(what: string, line: Line = this.#line): number {
    if (this.#disposed) {
      throw hooklensError("disposed", `${what}: this ${this.constructor.name} was disposed`);
    }
    if (line !== this.#line) {
      throw hooklensError("invalid_argument", `${what}: this ${this.constructor.name} is another worker's`);
    }
    return this.#id;
  }

  /** Calls a method of it. @internal */
  protected call(method: string, args: readonly unknown[], control: Control = {}): Promise<unknown> {
    return this.#line.call(this, method, args, control);
  }

  /** Lets the worker free it. What the worker does with it at the moment is finished first. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    forgotten.unregister(this);
    this.#line.release(this.#id);
  }

  /** The same as {@link dispose}. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
