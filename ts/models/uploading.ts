/** Bringing a model's files to the engine, as it asks for them. Internal. */

import { engine } from "../engine/current.ts";
import type { EngineModel, EngineUpload, LoadRequest, UploadNeed } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { platform } from "../platform/platform.ts";
import type { LoadOptions } from "./load-options.ts";
import { attempt, handedOver, INTERVAL, progressOf } from "./loading.ts";
import type { ModelSource, SourceFile } from "./sources/source.ts";

/** Loads a model from wherever its files are. */
export async function uploadModel(
  source: ModelSource,
  request: LoadRequest,
  { signal, onProgress }: LoadOptions,
): Promise<EngineModel> {
  signal?.throwIfAborted();
  const upload = engine().startUpload(request);
  const bringing = new Bringing(source, upload, signal, onProgress);
  try {
    for (let need = upload.need(); need !== null; need = upload.need()) {
      signal?.throwIfAborted();
      await bringing.bring(need);
    }
    bringing.report();
    // What is shown of that has its turn before the weights are put together.
    await platform().turn();
    return handedOver(await attempt(upload), signal, () => bringing.complete());
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    await bringing.end();
    upload.dispose();
  }
}

/** One load on its way. */
class Bringing {
  readonly #source: ModelSource;
  readonly #upload: EngineUpload;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: LoadOptions["onProgress"];
  /** Files that were opened, which know what they have read. */
  readonly #files = new Map<string, SourceFile>();
  /** The one whose connection may be open. */
  #current: SourceFile | null = null;
  #reported = 0;
  #total = 0;

  constructor(
    source: ModelSource,
    upload: EngineUpload,
    signal: AbortSignal | undefined,
    onProgress: LoadOptions["onProgress"],
  ) {
    this.#source = source;
    this.#upload = upload;
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  async bring(need: UploadNeed): Promise<void> {
    const { kind, file: path } = need;
    const file = await this.#open(path, kind === "text" ? "whole" : "parts");
    if (file === null) return this.#upload.absent(this.#source.locate(path));
    if (kind === "text") {
      const text = await file.start(need.bytes + 1);
      this.#upload.text(file.location, text);
      await file.keep();
      await file.close();
    } else if (kind === "start") {
      this.#upload.start(file.location, file.size ?? file.ended, await file.start(need.bytes));
    } else {
      await this.#feed(file, need.ranges);
    }
  }

  async #feed(file: SourceFile, ranges: readonly number[]): Promise<void> {
    for (let i = 0; i + 1 < ranges.length; i += 2) {
      const [start = 0, end = 0] = ranges.slice(i, i + 2);
      let at = start;
      for await (const piece of file.read(start, end)) {
        this.#signal?.throwIfAborted();
        this.#upload.feed(piece);
        at += piece.length;
        const now = performance.now();
        if (now - this.#reported < INTERVAL) continue;
        this.#reported = now;
        this.report();
        // What is at hand already would never give other work its turn.
        await platform().turn();
      }
      if (at < end) {
        const { location, ended } = file;
        this.#upload.end(ended ?? at);
        throw hooklensError("invalid_file", `${location}: ends after ${ended ?? at} bytes`, {
          path: location,
        });
      }
    }
    const ended = await file.drain();
    if (ended !== null) this.#upload.end(ended);
    await file.keep();
    await file.close();
  }

  async #open(path: string, reading: "whole" | "parts"): Promise<SourceFile | null> {
    const known = this.#files.get(path);
    if (this.#current !== known) await this.#current?.pause();
    const file = known ?? (await this.#source.open(path, reading));
    this.#current = file;
    if (file !== null) this.#files.set(path, file);
    return file;
  }

  /** Tells how far it is. What that throws ends the loading. */
  report(): void {
    const { done, total } = this.#upload.progress();
    this.#total = total;
    if (total > 0) this.#onProgress?.(progressOf({ done, total }));
  }

  /** Tells that the model is made. */
  complete(): void {
    this.#onProgress?.(progressOf({ done: this.#total, total: this.#total }));
  }

  async end(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }
}
