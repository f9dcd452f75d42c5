/**
 * The TypeScript side of a hook registry. The engine holds the hooks, their order and their lifetimes; this keeps what
 * only JavaScript can hold: the points as objects, the handles, and the functions.
 */

import { engine } from "../engine/current.ts";
import type { EngineRegistry, EngineTensor, HookBody } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { handleOf, wrap } from "../tensor/base.ts";
import { Callbacks, holdWhileRecorded } from "./callbacks.ts";
import { type Attached, LensHandle } from "./handle.ts";
import { Capture, type Hook, type HookDir, type HookDirs, type HookFn } from "./hook-fn.ts";
import type { HookPoint } from "./hook-point.ts";
import { Intervention } from "./interventions.ts";

/** A point's place in a store. */
export interface Site {
  readonly store: HookStore;
  /** The point's number in the registry. */
  readonly id: number;
  /** How many hooks are attached: none makes passing the point free. */
  live: number;
  /** How many of them are attached to gradients. */
  backward: number;
}

/** A hook that is attached, whatever number the registry gives it. */
export class Entry {
  readonly point: HookPoint;
  readonly attached: Attached;
  /** Where: in another store once the point has another root. */
  site: Site;
  /** Its number in that store's registry; null when it is detached. */
  number: number | null = null;
  #handle: LensHandle | null = null;

  constructor(point: HookPoint, attached: Attached, site: Site) {
    this.point = point;
    this.attached = attached;
    this.site = site;
  }

  /** Made when someone asks: nobody does for what `runWithCache` attaches. */
  get handle(): LensHandle {
    this.#handle ??= new LensHandle(this.point, this.attached, () => this.site.store.detach(this));
    return this.#handle;
  }
}

/** Asked before a hook is attached; throws to refuse. */
export type Veto = (point: HookPoint, attached: Attached, prepend: boolean) => void;

/** One registry, its points and its handles. */
export class HookStore {
  readonly registry: EngineRegistry;
  readonly points: readonly HookPoint[];
  readonly #sites: readonly Site[];
  readonly #entries = new Map<number, Entry>();
  readonly #callbacks = new Callbacks();
  /** Whether the engine fires the points itself: they cannot move to another registry. */
  readonly firedByEngine: boolean;
  #veto: Veto | null = null;

  private constructor(registry: EngineRegistry, points: readonly HookPoint[], firedByEngine: boolean) {
    this.registry = registry;
    this.points = points;
    this.firedByEngine = firedByEngine;
    this.#sites = points.map((_, id) => ({ store: this, id, live: 0, backward: 0 }));
  }

  /** Puts points into a new registry under these names, with the hooks they have. */
  static build(points: readonly HookPoint[], names: readonly string[]): HookStore {
    const foreign = points.find(({ site }) => site?.store.firedByEngine === true);
    if (foreign !== undefined) {
      throw hooklensError(
        "invalid_argument",
        `${foreign} belongs to a built-in model and cannot be part of another module; hold the whole model instead`,
        { name: foreign.name },
      );
    }
    const registry = engine().createRegistry(
      points.map((point, i) => ({ name: names[i] ?? "", axes: point.axes, default: point.isDefault })),
    );
    const store = new HookStore(registry, points, false);
    store.#adopt(names);
    return store;
  }

  /** Puts points around a registry that the engine made, one for each of its points. */
  static around(registry: EngineRegistry, points: readonly HookPoint[]): HookStore {
    const store = new HookStore(registry, points, true);
    store.#adopt(registry.points().map((point) => point.name));
    return store;
  }

  /** Sets what is asked before each addition. */
  set veto(veto: Veto) {
    this.#veto = veto;
  }

  /** Takes the points over with their hooks; if a hook cannot be attached, everything stays as it was. */
  #adopt(names: readonly string[]): void {
    const before = this.points.map((point) => {
      const { site, name } = point;
      const entries = site === null || site.live === 0 ? [] : site.store.#entriesOf(site.id);
      return { point, name, entries };
    });
    const numbers = new Map<Entry, number>();
    try {
      for (const [id, { point, entries }] of before.entries()) {
        // Bodies of hooks hold the point's name.
        point.name = names[id] ?? null;
        for (const entry of entries) numbers.set(entry, this.#attach(entry, this.#site(id), false));
      }
    } catch (thrown) {
      for (const { point, name } of before) point.name = name;
      throw thrown;
    }
    for (const [id, { point, entries }] of before.entries()) {
      for (const entry of entries) {
        entry.site.store.detach(entry);
        entry.site = this.#site(id);
        entry.number = numbers.get(entry) ?? null;
      }
      point.site = this.#site(id);
    }
  }

  #site(id: number): Site {
    const site = this.#sites[id];
    if (site === undefined) throw hooklensError("internal", `the registry has no point number ${id}`);
    return site;
  }

  /** Attaches a hook to point number `id`. */
  add(id: number, attached: Attached, prepend: boolean): LensHandle {
    const entry = this.#entry(id, attached, prepend);
    entry.number = this.#attach(entry, entry.site, prepend);
    return entry.handle;
  }

  /** Attaches a capture to several points at once, or to none if one refuses it. */
  capture(ids: readonly number[], dir: HookDir, hook: Capture, level: number | null): Entry[] {
    const attached: Attached = {
      hook,
      dir,
      level,
      isPermanent: false,
      aliasNames: [],
      allowShapeChange: false,
    };
    const entries = ids.map((id) => this.#entry(id, attached, false));
    const options = level === null ? {} : { level };
    const numbers = this.registry.capture(ids, dir, hook.cache, hook.options, options);
    for (const [i, entry] of entries.entries()) {
      entry.number = numbers[i] ?? null;
      if (entry.number !== null) this.#note(entry.number, entry, entry.site);
    }
    return entries;
  }

  #entry(id: number, attached: Attached, prepend: boolean): Entry {
    const point = this.#point(id);
    this.#veto?.(point, attached, prepend);
    return new Entry(point, attached, this.#site(id));
  }

  #attach(entry: Entry, site: Site, prepend: boolean): number {
    const { dir, isPermanent, level, aliasNames, allowShapeChange } = entry.attached;
    const number = this.registry.add(site.id, dir, this.#body(entry), {
      permanent: isPermanent,
      prepend,
      ...(level === null ? {} : { level }),
      ...(aliasNames.length === 0 ? {} : { aliases: aliasNames }),
      ...(allowShapeChange ? { allowShapeChange } : {}),
    });
    this.#note(number, entry, site);
    this.#forgetReleased();
    return number;
  }

  #note(number: number, entry: Entry, site: Site): void {
    this.#entries.set(number, entry);
    site.live++;
    if (entry.attached.dir === "bwd") site.backward++;
  }

  #forget(number: number, site: Site): void {
    const entry = this.#entries.get(number);
    if (entry === undefined) return;
    this.#entries.delete(number);
    if (entry.number === number) entry.number = null;
    site.live--;
    if (entry.attached.dir === "bwd") site.backward--;
  }

  #forgetReleased(): void {
    if (this.#callbacks.size === 0) return;
    const released = this.registry.drainReleased();
    if (released.length > 0) this.#callbacks.forget(released);
  }

  /** To be called after values have passed points: graphs may have recorded functions of this store. */
  holdRecorded(): void {
    if (this.#callbacks.size > 0) holdWhileRecorded(this);
  }

  /** What the engine is to run for a hook. */
  #body(entry: Entry): HookBody {
    const { point, attached } = entry;
    const { hook } = attached;
    const callback = (fn: HookFn): HookBody => ({
      kind: "callback",
      callback: this.#callbacks.add(fn, point),
    });
    if (typeof hook === "function") return callback(hook);
    const data = dataBody(hook, entry);
    if (hook instanceof Capture && hook.deliver !== null) {
      // The axes are those of what the hook sees.
      const axes = point.hookConversion === null ? point.axes : [];
      return callback(deliver(hook, hook.deliver, entry, through(data, entry, axes)));
    }
    if (point.hookConversion === null) return data;
    const pass = through(data, entry, []);
    return callback((value, { name }) => {
      const before = handleOf(value);
      const passed = pass(before, name);
      return passed === before ? value : wrap(passed);
    });
  }

  #point(id: number): HookPoint {
    const point = this.points[id];
    if (point === undefined) throw hooklensError("internal", `the registry has no point number ${id}`);
    return point;
  }

  /** Detaches a hook; nothing happens if it is gone. */
  detach(entry: Entry): void {
    if (entry.number === null) return;
    this.registry.remove(entry.number);
    this.#forget(entry.number, entry.site);
    this.#forgetReleased();
  }

  /** Detaches several hooks of this store. */
  detachAll(entries: readonly Entry[]): void {
    const numbers = entries.flatMap(({ number }) => number ?? []);
    this.registry.removeAll(numbers);
    for (const { number, site } of entries) if (number !== null) this.#forget(number, site);
    this.#forgetReleased();
  }

  /** Detaches the hooks of a point that match. */
  removeWhere(id: number, dir: HookDirs, includingPermanent: boolean, level: number | null): void {
    const site = this.#site(id);
    if (site.live === 0) return;
    const removed = this.registry.removeWhere({
      point: id,
      includingPermanent,
      ...(dir === "both" ? {} : { dir }),
      ...(level === null ? {} : { level }),
    });
    for (const number of removed) this.#forget(number, site);
    this.#forgetReleased();
  }

  /** The handles of a point, forward before backward, in execution order. */
  list(id: number): LensHandle[] {
    return this.#entriesOf(id).map(({ handle }) => handle);
  }

  #entriesOf(id: number): Entry[] {
    return this.registry.list(id).flatMap(({ handle }) => this.#entries.get(handle) ?? []);
  }

  /**
   * Attaches the hooks of a point again, in order: what they run has changed. If one cannot be attached, all stay as they
   * were.
   */
  reattach(id: number): void {
    const site = this.#site(id);
    const entries = this.#entriesOf(id);
    const added: number[] = [];
    try {
      for (const entry of entries) added.push(this.#attach(entry, site, false));
    } catch (thrown) {
      this.registry.removeAll(added);
      for (const number of added) this.#forget(number, site);
      this.#forgetReleased();
      throw thrown;
    }
    for (const [i, entry] of entries.entries()) {
      this.detach(entry);
      entry.number = added[i] ?? null;
    }
  }
}

/** Detaches hooks, of whatever stores they are by now. */
export function detachAll(entries: readonly Entry[]): void {
  const stores = new Map<HookStore, Entry[]>();
  for (const entry of entries) {
    const of = stores.get(entry.site.store);
    if (of === undefined) stores.set(entry.site.store, [entry]);
    else of.push(entry);
  }
  for (const [store, of] of stores) store.detachAll(of);
}

function dataBody(hook: Exclude<Hook, HookFn>, { point: { name } }: Entry): HookBody {
  if (hook instanceof Capture) {
    return { kind: "capture", cache: hook.cache, options: hook.options };
  }
  if (hook instanceof Intervention) return { kind: "intervention", ...hook.toEngine(name ?? "") };
  throw hooklensError(
    "invalid_argument",
    `a hook at '${name}' must be a function or an intervention, got ${hook === null ? "null" : typeof hook}`,
    { hook: name },
  );
}

/**
 * Conversions and maps of the caller's own are JavaScript's, so what the engine would run by itself must then be run from
 * a function: through a registry of one point.
 */
function through(
  body: HookBody,
  { attached: { dir }, point }: Entry,
  axes: readonly string[],
): (value: EngineTensor, firing: string) => EngineTensor {
  const name = point.name ?? "";
  const registry = engine().createRegistry([{ name, axes, default: true }]);
  registry.add(0, dir, body, {});
  const pass = dir === "fwd" ? "fire" : "fireGradient";
  return (value, firing) => (firing === name ? registry[pass](0, value) : registry[pass](0, value, firing));
}

function deliver(
  { options }: Capture,
  tell: (key: string) => void,
  { attached: { dir }, point }: Entry,
  pass: (value: EngineTensor, firing: string) => EngineTensor,
): HookFn {
  return (value, hook) => {
    const before = handleOf(value);
    const passed = pass(before, hook.name);
    if (passed !== before) passed.dispose();
    const names = options.key === undefined ? new Set([point.name ?? "", hook.name]) : [];
    for (const name of names) tell(dir === "fwd" ? name : `${name}_grad`);
    if (options.key !== undefined) tell(options.key);
  };
}
