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
import { Capture, type Hook, type HookDirs, type HookFn } from "./hook-fn.ts";
import type { HookPoint } from "./hook-point.ts";
import { Intervention } from "./interventions.ts";

/** A point's place in a store. */
export interface Site {
  readonly store: HookStore;
  /** The point's number in the registry. */
  readonly id: number;
  /** How many hooks are attached: none makes passing the point free. */
  live: number;
}

interface Entry {
  readonly handle: LensHandle;
  readonly attached: Attached;
  readonly site: Site;
}

/** Asked before a hook is attached; throws to refuse. */
export type Veto = (point: HookPoint, attached: Attached & { readonly prepend: boolean }) => void;

/** One registry, its points and its handles. */
export class HookStore {
  readonly registry: EngineRegistry;
  readonly points: readonly HookPoint[];
  readonly #sites: readonly Site[];
  readonly #entries = new Map<number, Entry>();
  readonly #numbers = new Map<LensHandle, number>();
  readonly #callbacks = new Callbacks();
  /** Whether the engine fires the points itself: they cannot move to another registry. */
  readonly firedByEngine: boolean;
  #veto: Veto | null = null;

  private constructor(registry: EngineRegistry, points: readonly HookPoint[], firedByEngine: boolean) {
    this.registry = registry;
    this.points = points;
    this.firedByEngine = firedByEngine;
    this.#sites = points.map((_, id) => ({ store: this, id, live: 0 }));
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
    try {
      for (const [id, { point, entries }] of before.entries()) {
        // Bodies of hooks hold the point's name.
        point.name = names[id] ?? null;
        for (const { attached, handle } of entries) this.#attach(this.#site(id), attached, false, handle);
      }
    } catch (thrown) {
      for (const { point, name } of before) point.name = name;
      throw thrown;
    }
    for (const [id, { point, entries }] of before.entries()) {
      for (const { handle, site } of entries) site.store.#take(handle);
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
    const site = this.#site(id);
    this.#veto?.(this.#point(id), { ...attached, prepend });
    const handle = new LensHandle(this.#point(id), attached, removeHandle);
    this.#attach(site, attached, prepend, handle);
    return handle;
  }

  #attach(site: Site, attached: Attached, prepend: boolean, handle: LensHandle): number {
    const { dir, hook, isPermanent, level, aliasNames } = attached;
    const number = this.registry.add(site.id, dir, this.#body(hook, handle), {
      permanent: isPermanent,
      prepend,
      ...(level === null ? {} : { level }),
      ...(aliasNames.length === 0 ? {} : { aliases: aliasNames }),
    });
    this.#entries.set(number, { handle, attached, site });
    this.#numbers.set(handle, number);
    site.live++;
    this.#forgetReleased();
    return number;
  }

  /** Detaches a handle and gives what it was; undefined if it was gone. */
  #take(handle: LensHandle): Entry | undefined {
    const number = this.#numbers.get(handle);
    if (number === undefined) return undefined;
    const entry = this.#entries.get(number);
    this.#detach(number);
    this.#forgetReleased();
    return entry;
  }

  #forget(number: number): void {
    const entry = this.#entries.get(number);
    if (entry === undefined) return;
    this.#entries.delete(number);
    if (this.#numbers.get(entry.handle) === number) this.#numbers.delete(entry.handle);
    entry.site.live--;
  }

  #forgetReleased(): void {
    const released = this.registry.drainReleased();
    if (released.length > 0) this.#callbacks.forget(released);
  }

  /** To be called after values have passed points: graphs may have recorded functions of this store. */
  holdRecorded(): void {
    if (this.#callbacks.size > 0) holdWhileRecorded(this);
  }

  /** What the engine is to run for a hook. */
  #body(hook: Hook, handle: LensHandle): HookBody {
    const { point } = handle;
    const callback = (fn: HookFn): HookBody => ({
      kind: "callback",
      callback: this.#callbacks.add(fn, point),
    });
    if (typeof hook === "function") return callback(hook);
    const data = dataBody(hook, handle);
    if (hook instanceof Capture && hook.deliver !== null) {
      // The axes are those of what the hook sees.
      const axes = point.hookConversion === null ? point.axes : [];
      return callback(deliver(hook.deliver, handle, through(data, handle, axes)));
    }
    if (point.hookConversion === null) return data;
    const pass = through(data, handle, []);
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

  /** Detaches a handle; nothing happens if it is gone. */
  remove(handle: LensHandle): void {
    this.#take(handle);
  }

  /** Detaches the hooks of a point that match. */
  removeWhere(id: number, dir: HookDirs, includingPermanent: boolean, level: number | null): void {
    if (this.#site(id).live === 0) return;
    const removed = this.registry.removeWhere({
      point: id,
      includingPermanent,
      ...(dir === "both" ? {} : { dir }),
      ...(level === null ? {} : { level }),
    });
    for (const number of removed) this.#forget(number);
    this.#forgetReleased();
  }

  /** The handles of a point, forward before backward, in execution order. */
  list(id: number): LensHandle[] {
    return this.#entriesOf(id).map(({ handle }) => handle);
  }

  #entriesOf(id: number): Entry[] {
    return this.registry.list(id).flatMap(({ handle }) => this.#entries.get(handle) ?? []);
  }

  #detach(number: number): void {
    this.registry.remove(number);
    this.#forget(number);
  }

  /**
   * Attaches the hooks of a point again, in order: what they run has changed. If one cannot be attached, all stay as they
   * were.
   */
  reattach(id: number): void {
    const site = this.#site(id);
    const before = this.registry.list(id).map(({ handle }) => handle);
    const added: number[] = [];
    try {
      for (const { attached, handle } of this.#entriesOf(id)) {
        added.push(this.#attach(site, attached, false, handle));
      }
    } catch (thrown) {
      for (const number of added) this.#detach(number);
      for (const number of before) {
        const entry = this.#entries.get(number);
        if (entry !== undefined) this.#numbers.set(entry.handle, number);
      }
      this.#forgetReleased();
      throw thrown;
    }
    for (const number of before) this.#detach(number);
    this.#forgetReleased();
  }
}

function removeHandle(handle: LensHandle): void {
  handle.point.site?.store.remove(handle);
}

function dataBody(hook: Exclude<Hook, HookFn>, handle: LensHandle): HookBody {
  if (hook instanceof Capture) {
    return { kind: "capture", cache: hook.cache, options: hook.options };
  }
  if (hook instanceof Intervention) return { kind: "intervention", ...hook.toEngine(handle.name) };
  throw hooklensError(
    "invalid_argument",
    `a hook at '${handle.name}' must be a function or an intervention, got ${hook === null ? "null" : typeof hook}`,
    { hook: handle.name },
  );
}

/**
 * Conversions and maps of the caller's own are JavaScript's, so what the engine would run by itself must then be run from
 * a function: through a registry of one point.
 */
function through(
  body: HookBody,
  { dir, name }: LensHandle,
  axes: readonly string[],
): (value: EngineTensor, firing: string) => EngineTensor {
  const registry = engine().createRegistry([{ name, axes, default: true }]);
  registry.add(0, dir, body, {});
  const pass = dir === "fwd" ? "fire" : "fireGradient";
  return (value, firing) => (firing === name ? registry[pass](0, value) : registry[pass](0, value, firing));
}

function deliver(
  tell: (key: string) => void,
  { dir, name }: LensHandle,
  pass: (value: EngineTensor, firing: string) => EngineTensor,
): HookFn {
  return (value, hook) => {
    const before = handleOf(value);
    const passed = pass(before, hook.name);
    if (passed !== before) passed.dispose();
    for (const key of new Set([name, hook.name])) tell(dir === "fwd" ? key : `${key}_grad`);
  };
}
