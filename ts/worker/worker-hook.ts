/** Functions that run in the worker. A page cannot send them: it names the module that has them. */

import type { HookPointLike, HookResult } from "../hooks/hook-fn.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What a function of a module gets beside its own arguments. */
export interface WorkerContext<Argument = unknown> {
  /** What was given to {@link moduleHook} or `run`: data, or what the worker holds, such as a tensor or a model. */
  readonly argument: Argument;
  /**
   * Everything that the package exports, with the engine that runs here. A module that imports the package itself may get
   * a second copy, with another engine.
   */
  readonly hooklens: typeof import("../index.ts");
}

/** A hook as a module for workers exports it. */
export type WorkerHook<Argument = unknown> = (
  value: Tensor,
  hook: HookPointLike,
  context: WorkerContext<Argument>,
) => HookResult;

/** A function of a module that a worker imports. Made by {@link moduleHook}. */
export class ModuleFunction {
  /** The module's address. */
  readonly module: string;
  /** Which of its exports. */
  readonly export: string;
  /** What the function gets as `argument`. */
  readonly argument: unknown;

  /** @internal */
  constructor(module: string, name: string, argument: unknown) {
    this.module = module;
    this.export = name;
    this.argument = argument;
  }
}

/** Which function of a module, and what it gets. */
export interface ModuleHookOptions {
  /**
   * The name under which the module exports it.
   * @default "default"
   */
  readonly export?: string;
  /** Data, or what the worker holds, for the function's `context.argument`. */
  readonly argument?: unknown;
}

/**
 * A hook that runs in the worker: a {@link WorkerHook} that a module exports.
 *
 * @param module the module's full address, such as `new URL("./my-hooks.js", import.meta.url)`.
 */
export function moduleHook(module: string | URL, options: ModuleHookOptions = {}): ModuleFunction {
  return new ModuleFunction(String(module), options.export ?? "default", options.argument);
}
