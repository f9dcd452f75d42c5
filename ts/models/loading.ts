/** Reading models from disk without holding up the thread that asks for it. */

import { engine } from "../engine/current.ts";
import type { EngineLoading, EngineModel } from "../engine/engine.ts";
import { HooklensError } from "../engine/errors.ts";
import { rethrown } from "../engine/guard.ts";
import { type LoadOptions, loadRequest } from "./load-options.ts";

/** Milliseconds between two calls of `onProgress`. */
export const INTERVAL = 50;

/** Loads the model in a folder that the engine reads by itself. Internal. */
export async function loadModel(folder: string, options: LoadOptions): Promise<EngineModel> {
  const request = loadRequest("fromPretrained", options);
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const loading = engine().startLoading(folder, request);
  const progress = new ProgressReports(loading, onProgress);
  const cancel = () => loading.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    const model = await finish(loading);
    try {
      signal?.throwIfAborted();
      progress.complete();
      signal?.throwIfAborted();
    } catch (thrown) {
      model.dispose();
      throw thrown;
    }
    return model;
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

async function attempt(loading: EngineLoading): Promise<EngineModel> {
  try {
    return await loading.finish();
  } catch (error) {
    throw rethrown(error);
  }
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
      report({ ...progress, phase: progress.done < progress.total ? "weights" : "model" });
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
    this.#report?.({ done: total, total, phase: "model" });
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Throws what `onProgress` threw, if it did. */
  rethrow(): void {
    if (this.#thrown !== null) throw this.#thrown.value;
  }
}
