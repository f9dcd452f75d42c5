/** What a worker holds for its page, by number. */

import { hooklensError } from "../engine/errors.ts";

/** Something that is held. */
interface Thing {
  readonly thing: object;
  readonly free: () => void;
  /** Calls that it is an argument of. */
  users: number;
}

/** Things by number, each with the way to free it. One that the page was given twice has two numbers. */
export class Held {
  readonly #things = new Map<number, Thing>();
  /** How many numbers each has. */
  readonly #numbers = new Map<object, number>();
  readonly #leaving = new Set<number>();
  #next = 1;

  /** Keeps something; gives its number. `free` is called once the last number of a thing is released. */
  add(thing: object, free: () => void): number {
    const id = this.#next++;
    this.#things.set(id, { thing, free, users: 0 });
    this.#numbers.set(thing, (this.#numbers.get(thing) ?? 0) + 1);
    return id;
  }

  /** Whether something is kept. */
  has(thing: object): boolean {
    return this.#numbers.has(thing);
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
    const left = (this.#numbers.get(found.thing) ?? 1) - 1;
    if (left > 0) {
      this.#numbers.set(found.thing, left);
      return;
    }
    this.#numbers.delete(found.thing);
    found.free();
  }
}
