/** Reading models from disk without holding up the thread that asks for it. */

import { engine } from "../engine/current.ts";
import type { EngineLoading, EngineModel, LoadRequest } from "../engine/engine.ts";
import { HooklensError } from "../engine/errors.ts";
import { rethrown } from "../engine/guard.ts";
import type { LoadOptions, LoadProgress } from "./load-options.ts";

/** Milliseconds between two calls of `onProgress`. */
export const INTERVAL = 50;

/** Loads the model in a folder that the engine reads by itself. Internal. */
export async function loadModel(
  folder: string,
  request: LoadRequest,
  { signal, onProgress }: LoadOptions,
): Promise<EngineModel> {
  signal?.throwIfAborted();
  const loading = engine().startLoading(folder, request);
  const progress = new ProgressReports(loading, onProgress);
  const cancel = () => loading.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    return handedOver(await finish(loading), signal, () => progress.complete());
  } catch (error) {
    signal?.throwIfAborted();
    progress.rethrow();
    throw error;
  } finally {
    progress.stop();
    signal?.removeEventListener("abort", cancel);
  }
}

/** A load that ran into the memory limit gets a second chance: garbage was collected meanwhile. */
async function finish(loading: EngineLoading): Promise<EngineModel> {
  try {
    return await attempt(loading);
  } catch (error) {
    if (error instanceof HooklensError && error.code === "memory_limit") return attempt(loading);
    throw error;
  }
}

/** Finishes what the engine reads. Its errors, which come through a promise, are as those of calls. */
export async function attempt(loading: { finish(): Promise<EngineModel> }): Promise<EngineModel> {
  try {
    return await loading.finish();
  } catch (error) {
    throw rethrown(error);
  }
}

/** The model, once `tell` has told that it is there. Lets go of its weights if that throws or nobody wants it any more. */
export function handedOver(
  model: EngineModel,
  signal: AbortSignal | undefined,
  tell: () => void,
): EngineModel {
  try {
    signal?.throwIfAborted();
    tell();
    signal?.throwIfAborted();
    return model;
  } catch (thrown) {
    model.dispose();
    throw thrown;
  }
}

/** What `onProgress` is told: once all weights are there, what is left is the model. */
export function progressOf({ done, total }: { readonly done: number; readonly total: number }): LoadProgress {
  return { done, total, phase: done < total ? "weights" : "model" };
}

/** Calls of `onProgress`. What it throws cannot leave a timer: it is kept, and the loading is cancelled. */
class ProgressReports {
  readonly #loading: EngineLoading;
  readonly #report: NonNullable<LoadOptions["onProgress"]> | undefined;
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #thrown: { readonly value: unknown } | null = null;

  constructor(loading: EngineLoading, report: LoadOptions["onProgress"]) {
    this.#loading = loading;
    this.#report = report;
    if (report !== undefined) this.#timer = setInterval(() => this.#tell(report), INTERVAL);
  }

  #tell(report: NonNullable<LoadOptions["onProgress"]>): void {
    const progress = this.#loading.progress();
    if (progress.total === 0) return;
    try {
      report(progressOf(progress));
    } catch (value) {
      this.#thrown ??= { value };
      this.#loading.cancel();
      this.stop();
    }
  }

  /** The last report: everything is there. */
  complete(): void {
    this.stop();
    this.rethrow();
    const { total } = this.#loading.progress();
    this.#report?.(progressOf({ done: total, total }));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Throws what `onProgress` threw, if it did. */
  rethrow(): void {
    if (this.#thrown !== null) throw this.#thrown.value;
  }
}
