/** A file over streams that begin where one asks, or at its beginning, and that may break. Internal. */

import { hooklensError } from "../../engine/errors.ts";
import type { SourceFile } from "./source.ts";

/** A stream of a part of a file. */
export interface Connection {
  readonly stream: ReadableStream<Uint8Array>;
  /** The position in the file of its first byte: what was asked for, or before that. */
  readonly at: number;
  /** The position after its last byte, if it was cut there and the file may go on. */
  readonly until: number | null;
  /** Bytes of the whole file, if known. */
  readonly size: number | null;
}

/** Opens streams of one file. */
export interface Connector {
  readonly location: string;
  /** Whether streams can begin anywhere. */
  readonly seekable: boolean;
  /**
   * A stream of what comes at `from`; null if the file ends before. `isChecked` says that a stream of an earlier position
   * is compared with what was read before, up to `from`.
   */
  connect(from: number, isChecked: boolean): Promise<Connection | null>;
  /**
   * A stream broke, or ended although the file is longer (`error` is null then). Resolves to whether to go on with
   * another, after a while perhaps.
   *
   * @throws what the reader should, if a stream broke and there will be no other.
   */
  again(error: unknown, at: number, size: number | null): Promise<boolean>;
}

/** Takes all bytes of a file in order, to keep them. What it cannot do it does not throw: the file is read nonetheless. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  /** The file was read to its end and is good. */
  close(size: number): Promise<void>;
  /** Bytes were left out, or the file is no good. */
  abandon(): Promise<void>;
}

/** Rather than open another stream, so many bytes are read and dropped. */
const SKIP = 2 ** 20;
const EMPTY = new Uint8Array(0);

/** See {@link SourceFile}. */
export class StreamFile implements SourceFile {
  readonly location: string;
  readonly #connector: Connector;
  #sink: Sink | null;
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #until: number | null = null;
  #size: number | null;
  #ended: number | null = null;
  /** Where the stream is; before {@link #wanted} if it began before what was asked for. */
  #streamAt = 0;
  /** The position of the next byte that has not come. */
  #wanted = 0;
  /** Bytes that have come and were not given out, which end before {@link #wanted}. */
  #left: Uint8Array = EMPTY;
  /** The file's first bytes, which may be asked for again. */
  #beginning: Uint8Array = EMPTY;

  /**
   * @param first a connection that was opened at the file's beginning.
   * @param sink takes the bytes too, if all are read in order.
   */
  constructor(
    connector: Connector,
    first: Connection | null,
    size: number | null = null,
    sink: Sink | null = null,
  ) {
    this.location = connector.location;
    this.#connector = connector;
    this.#size = first?.size ?? size;
    this.#sink = sink;
    if (first !== null) this.#use(first);
  }

  get size(): number | null {
    return this.#size;
  }

  get ended(): number | null {
    return this.#ended;
  }

  async start(bytes: number): Promise<Uint8Array> {
    const parts = [this.#beginning];
    let length = this.#beginning.length;
    if (length < bytes) {
      await this.#seek(length);
      for (let piece = await this.#next(); piece !== null; piece = await this.#next()) {
        parts.push(piece);
        length += piece.length;
        if (length >= bytes) break;
      }
      this.#beginning = joined(parts, length);
    }
    return this.#beginning;
  }

  async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    let at = start;
    if (at < this.#beginning.length) {
      const piece = this.#beginning.subarray(at, end);
      at += piece.length;
      yield piece;
    }
    if (at >= end) return;
    await this.#seek(at);
    while (at < end) {
      const piece = await this.#next();
      if (piece === null) return;
      this.#beginning = EMPTY;
      const taken = piece.subarray(0, end - at);
      this.#left = piece.subarray(taken.length);
      at += taken.length;
      yield taken;
    }
  }

  async drain(): Promise<number | null> {
    if (this.#size === null || this.#sink !== null) {
      while ((await this.#next()) !== null) {
        // A sink takes it, or it is too much: where the file ends is what counts.
      }
    }
    return this.#ended;
  }

  async keep(): Promise<void> {
    const sink = this.#sink;
    if (sink === null || this.#ended === null) return;
    this.#sink = null;
    await sink.close(this.#ended);
  }

  pause(): Promise<void> {
    return this.#disconnect();
  }

  async close(): Promise<void> {
    await this.#disconnect();
    await this.#abandon();
  }

  async #disconnect(): Promise<void> {
    const reader = this.#reader;
    this.#reader = null;
    this.#wanted -= this.#left.length;
    this.#left = EMPTY;
    // A stream that broke has nothing to cancel.
    await reader?.cancel().catch(() => undefined);
  }

  async #abandon(): Promise<void> {
    const sink = this.#sink;
    this.#sink = null;
    await sink?.abandon();
  }

  #use({ stream, at, until, size }: Connection): void {
    this.#reader = stream.getReader();
    this.#streamAt = at;
    this.#until = until;
    this.#size ??= size;
  }

  /** Makes the byte at `position` the next. */
  async #seek(position: number): Promise<void> {
    let at = this.#wanted - this.#left.length;
    const skipping = this.#sink !== null || !this.#connector.seekable || position - at <= SKIP;
    if (position < at || !skipping) {
      await this.#abandon();
      await this.#disconnect();
      this.#wanted = position;
      return;
    }
    while (at < position) {
      const piece = await this.#next();
      if (piece === null) return;
      this.#left = piece.subarray(position - at);
      at += piece.length - this.#left.length;
    }
  }

  /** The next bytes; null where the file ends. */
  async #next(): Promise<Uint8Array | null> {
    if (this.#left.length > 0) {
      const left = this.#left;
      this.#left = EMPTY;
      return left;
    }
    while (this.#ended === null || this.#wanted < this.#ended) {
      const piece = await this.#receive();
      if (piece === null) continue;
      const known = this.#beginning.subarray(this.#streamAt, this.#streamAt + piece.length);
      const fresh = piece.subarray(Math.max(0, this.#wanted - this.#streamAt));
      if (this.#streamAt < this.#wanted && !known.every((byte, i) => byte === piece[i])) {
        throw hooklensError("invalid_file", `${this.location}: changed while it was being read`, {
          path: this.location,
        });
      }
      this.#streamAt += piece.length;
      if (fresh.length === 0) continue;
      this.#wanted += fresh.length;
      await this.#sink?.write(fresh);
      return fresh;
    }
    return null;
  }

  /** What the stream gives; null if there is to be another stream, or the file has ended. */
  async #receive(): Promise<Uint8Array | null> {
    if (this.#reader === null) {
      const isChecked = this.#wanted <= this.#beginning.length;
      const isDone = this.#wanted === this.#size;
      const found = isDone ? null : await this.#connector.connect(this.#wanted, isChecked);
      if (found === null) this.#ended = this.#wanted;
      else this.#use(found);
      return null;
    }
    let result: Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>["read"]>>;
    try {
      result = await this.#reader.read();
    } catch (error) {
      this.#reader = null;
      await this.#connector.again(error, this.#wanted, this.#size);
      return null;
    }
    if (!result.done) return result.value;
    this.#reader = null;
    const at = this.#streamAt;
    const isShort = this.#size !== null && at < this.#size;
    const wasCut = this.#until !== null && at >= this.#until;
    if (wasCut && (isShort || this.#size === null)) return null;
    if (isShort && (await this.#connector.again(null, at, this.#size))) return null;
    this.#ended = at;
    return null;
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
