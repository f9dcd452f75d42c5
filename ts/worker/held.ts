/** What a worker holds for its page, by number. */

import { hooklensError } from "../engine/errors.ts";

/** Things by number, each with the way to free it. */
export class Held {
  readonly #things = new Map<number, { readonly thing: object; readonly free: () => void; users: number }>();
  readonly #leaving = new Set<number>();
  #next = 1;

  /** Keeps something; gives its number. */
  add(thing: object, free: () => void): number {
    const id = this.#next++;
    this.#things.set(id, { thing, free, users: 0 });
    return id;
  }

  /** How many things there are. */
  get size(): number {
    return this.#things.size;
  }

  /** The thing of that number. */
  get(id: number): object {
    const found = this.#things.get(id);
    if (found !== undefined) return found.thing;
    throw hooklensError("disposed", "what this call refers to was disposed");
  }

  /** Keeps things alive while `work` runs, even if they are let go of meanwhile. */
  async using<T>(ids: Iterable<number>, work: () => Promise<T>): Promise<T> {
    const used = [...ids].flatMap((id) => this.#things.get(id) ?? []);
    for (const one of used) one.users++;
    try {
      return await work();
    } finally {
      for (const one of used) one.users--;
      for (const id of [...this.#leaving]) this.release(id);
    }
  }

  /** Frees something, at once or when nothing uses it any more. */
  release(id: number): void {
    const found = this.#things.get(id);
    if (found === undefined) return;
    if (found.users > 0) {
      this.#leaving.add(id);
      return;
    }
    this.#leaving.delete(id);
    this.#things.delete(id);
    found.free();
  }
}
