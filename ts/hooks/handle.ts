/** A hook that is attached. */

import type { Hook, HookDir } from "./hook-fn.ts";
import type { HookPoint } from "./hook-point.ts";

/** How a hook was attached. */
export interface Attached {
  readonly hook: Hook;
  readonly dir: HookDir;
  readonly isPermanent: boolean;
  readonly level: number | null;
  readonly aliasNames: readonly string[];
  readonly allowShapeChange: boolean;
}

/** A hook that was attached to a point: what it is, and its removal. */
export class LensHandle {
  /** Where it is attached. */
  readonly point: HookPoint;
  /** In which direction. */
  readonly dir: HookDir;
  /** Whether it survives removals that do not say otherwise. */
  readonly isPermanent: boolean;
  /** How deep the scope that attached it was nested; null if no scope did. */
  readonly contextLevel: number | null;
  /** The very function (or intervention) that was attached. */
  readonly userHook: Hook;
  /** The names under which it runs, if not the point's own. */
  readonly aliasNames: readonly string[];
  /** Whether it may return an activation of another shape. */
  readonly allowShapeChange: boolean;
  readonly #remove: () => void;

  /** @internal */
  constructor(point: HookPoint, attached: Attached, remove: () => void) {
    this.point = point;
    this.dir = attached.dir;
    this.isPermanent = attached.isPermanent;
    this.contextLevel = attached.level;
    this.userHook = attached.hook;
    this.aliasNames = attached.aliasNames;
    this.allowShapeChange = attached.allowShapeChange;
    this.#remove = remove;
  }

  /** The point's name. */
  get name(): string {
    return this.point.name ?? "";
  }

  /** Detaches the hook. A second call does nothing. */
  remove(): void {
    this.#remove();
  }

  /** Lets `using handle = …` detach the hook at the end of the block. */
  [Symbol.dispose](): void {
    this.remove();
  }
}

/**
 * The hooks that one call attached to several points: a list of their handles that can be detached together, as one
 * handle can.
 */
export class HookHandles extends Array<LensHandle> implements Disposable {
  /** What `map`, `filter` and their like give is a plain array. @internal */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** Detaches all of them, last first. A second call does nothing. */
  remove(): void {
    for (const handle of this.toReversed()) handle.remove();
  }

  /** Lets `using handles = …` detach the hooks at the end of the block. */
  [Symbol.dispose](): void {
    this.remove();
  }
}

/** Handles as one list. Internal. */
export function together(handles: readonly LensHandle[]): HookHandles {
  const list = new HookHandles();
  for (const handle of handles) list.push(handle);
  return list;
}
