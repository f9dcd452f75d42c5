/** Which hook points a name, pattern, predicate or filter means. */

import { engine } from "../engine/current.ts";
import { hooklensError } from "../engine/errors.ts";
import type { HookTarget } from "./hook-fn.ts";
import { HookPoint } from "./hook-point.ts";
import type { HookStore } from "./hook-store.ts";
import { warn } from "./logger.ts";
import type { Glob, NameOf } from "./names.ts";

/**
 * Which points a cache records or a list shows: null for the default ones, or a name, glob, expression, point or
 * predicate, or several of these. Names that do not exist and patterns that match nothing are errors; a predicate that
 * matches nothing is a warning.
 */
export type NamesFilter<P = unknown> = null | HookTarget<P> | Iterable<NameOf<P> | Glob | RegExp | HookPoint>;

/** A filter that can be read several times: what can be gone through only once becomes a list. */
export function settledFilter<P>(filter: NamesFilter<P> | undefined): NamesFilter<P> | undefined {
  if (typeof filter !== "object" || filter === null || !(Symbol.iterator in filter)) return filter;
  return [...filter];
}

/** A chosen point and the name that its root gives it. */
export interface Chosen {
  readonly name: string;
  readonly point: HookPoint;
}

/** The points of one root by name, in the order of definition. */
export class PointTable {
  readonly store: HookStore;
  readonly points: ReadonlyMap<string, HookPoint>;
  readonly #list: readonly Chosen[];
  readonly #isModule: (name: string) => boolean;

  /** `points` in the order of the registry's numbers; `isModule` recognises names of modules that are no points. */
  constructor(store: HookStore, points: ReadonlyMap<string, HookPoint>, isModule: (name: string) => boolean) {
    this.store = store;
    this.points = points;
    this.#list = [...points].map(([name, point]) => ({ name, point }));
    this.#isModule = isModule;
  }

  /** What one target means, in the order of the points. */
  choose(target: unknown): readonly Chosen[] {
    if (typeof target === "string") return this.#named(target);
    if (target instanceof RegExp) return this.#matching(target);
    if (target instanceof HookPoint) return [this.#own(target)];
    if (typeof target === "function") {
      const chosen = this.#list.filter(({ name }) => Boolean(target(name)));
      if (chosen.length === 0)
        warn(`a predicate over hook names matched none of ${this.#list.length} points`);
      return chosen;
    }
    throw hooklensError(
      "invalid_names_filter",
      `expected a hook name, a glob, a RegExp, a HookPoint, a predicate or an iterable of these, got ${show(target)}`,
    );
  }

  /** What a names filter means, in the order of the points. */
  filter(filter: unknown): readonly Chosen[] {
    if (filter === null || filter === undefined) return this.#list.filter(({ point }) => point.isDefault);
    if (typeof filter !== "object" || !(Symbol.iterator in filter)) return this.choose(filter);
    const wanted = new Set<HookPoint>();
    let empty = true;
    for (const target of filter as Iterable<unknown>) {
      empty = false;
      for (const { point } of this.choose(target)) wanted.add(point);
    }
    if (empty)
      throw hooklensError("invalid_names_filter", "names filter: an empty list selects no hook point");
    return this.#list.filter(({ point }) => wanted.has(point));
  }

  #named(name: string): readonly Chosen[] {
    const point = this.points.get(name);
    if (point !== undefined) return [{ name, point }];
    if (this.#isModule(name)) {
      // `embed` is a part of a transformer and the short name of a point.
      const short = engine().actName({ name });
      const meant = this.points.get(short);
      if (meant !== undefined) return [{ name: short, point: meant }];
      throw hooklensError("not_a_hook_point", `'${name}' is a module and no hook point`, { name });
    }
    return this.store.registry.select([name]).flatMap((id) => this.#list[id] ?? []);
  }

  #matching(expression: RegExp): readonly Chosen[] {
    // `search` ignores lastIndex, which `test` would move on expressions with the flag g.
    const chosen = this.#list.filter(({ name }) => name.search(expression) >= 0);
    if (chosen.length > 0) return chosen;
    const some = this.#list.slice(0, 3).map(({ name }) => `'${name}'`);
    throw hooklensError(
      "invalid_names_filter",
      `no hook point matches ${expression}; the ${this.#list.length} names begin with ${some.join(", ") || "none"}`,
      { pattern: String(expression) },
    );
  }

  #own(point: HookPoint): Chosen {
    const found = this.#list.find((chosen) => chosen.point === point);
    if (found !== undefined) return found;
    throw hooklensError(
      "unknown_hook",
      `${point} is no hook point of this model, or setup() has not seen it`,
      {
        name: point.name,
        suggestions: [],
      },
    );
  }
}

function show(value: unknown): string {
  return typeof value === "object"
    ? `an object (${value?.constructor?.name ?? "no class"})`
    : `${typeof value}`;
}
