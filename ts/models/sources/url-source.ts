/** A model's files on a server. Internal. */

import { type HooklensError, hooklensError } from "../../engine/errors.ts";
import {
  Attempts,
  answered,
  ask,
  dismissed,
  downloadFailed,
  type HttpOptions,
  messageOf,
  rangeOf,
  sameVersion,
  sizeOf,
  type Version,
  versionOf,
} from "./http.ts";
import type { ModelSource, Reading } from "./source.ts";
import { type Connection, type Connector, type Sink, StreamFile } from "./stream-file.ts";

/** What is asked for of a file that is read in parts, before it is known which. Most headers are shorter. */
const FIRST_PART = 2 ** 18;

/** A server's folder. */
export class UrlSource implements ModelSource {
  readonly name: string;
  readonly #base: URL;
  readonly #options: HttpOptions;

  constructor(base: URL, options: HttpOptions) {
    this.#base = new URL(base);
    this.#base.hash = "";
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    this.name = this.#base.href;
    this.#options = options;
  }

  locate(path: string): string {
    const url = new URL(this.#base);
    url.pathname += path.split("/").map(encodeURIComponent).join("/");
    return url.href;
  }

  open(path: string, reading: Reading): Promise<StreamFile | null> {
    return openUrl(this.locate(path), reading, this.#options);
  }
}

/**
 * Opens a file on a server; null if there is none.
 *
 * @param keep what takes its bytes, once it is known which version of it comes.
 * @throws `download_failed`.
 */
export async function openUrl(
  url: string,
  reading: Reading,
  options: HttpOptions,
  keep: (version: Version, size: number | null) => Promise<Sink | null> = async () => null,
): Promise<StreamFile | null> {
  const headers = { range: `bytes=0-${FIRST_PART - 1}` };
  // Where a server lets other sites ask for no ranges, the second attempt shows it.
  const response = await ask(
    url,
    (attempt) => (reading === "parts" && attempt % 2 === 0 ? { headers } : {}),
    options,
  );
  if (response.status === 416) {
    await dismissed(response);
    return new StreamFile(new UrlConnector(url, options, null), null, 0);
  }
  if (isAbsent(response)) {
    await dismissed(response);
    return null;
  }
  if (!response.ok) {
    await dismissed(response);
    throw answered(url, response);
  }
  const connector = new UrlConnector(url, options, response);
  const connection = connector.connectionOf(response, 0);
  return new StreamFile(
    connector,
    connection,
    connection.size,
    await keep(versionOf(response), connection.size),
  );
}

/** Whether there is no such file: also where a server answers with a page of its own, as many do for what they lack. */
function isAbsent(response: Response): boolean {
  if (response.status === 404 || response.status === 410) return true;
  return response.ok && /^text\/html\b/i.test(response.headers.get("content-type") ?? "");
}

function changed(url: string): HooklensError {
  return hooklensError("invalid_file", `${url}: changed while it was being read`, {
    path: url,
  });
}

function notContinued(url: string): HooklensError {
  return downloadFailed(
    url,
    "the download broke off, and was not begun again because the server says of no file which version it is " +
      "(an ETag or a time of change, which another site has to let pages see)",
  );
}

class UrlConnector implements Connector {
  readonly location: string;
  readonly #options: HttpOptions;
  readonly #attempts: Attempts;
  readonly #version: Version | null;
  #seekable: boolean;
  /** Where the stream was when it last broke. */
  #brokeAt = -1;

  constructor(url: string, options: HttpOptions, first: Response | null) {
    this.location = url;
    this.#options = options;
    this.#attempts = new Attempts(options.signal);
    this.#version = first === null ? null : versionOf(first);
    this.#seekable = first?.status === 206;
  }

  get seekable(): boolean {
    return this.#seekable;
  }

  connectionOf(response: Response, from: number): Connection {
    const { body } = response;
    if (body === null) throw downloadFailed(this.location, "the server answered without content");
    if (response.status !== 206) return { stream: body, at: 0, until: null, size: sizeOf(response) };
    const range = rangeOf(response);
    if (range !== null && range.from !== from) {
      throw downloadFailed(
        this.location,
        `asked for bytes from ${from} on, the server sent bytes from ${range.from} on`,
      );
    }
    // Where pages are not told the range it is the one that was asked for.
    return {
      stream: body,
      at: from,
      until: range?.until ?? (from === 0 ? FIRST_PART : null),
      size: range?.size ?? null,
    };
  }

  async connect(from: number, isChecked: boolean): Promise<Connection | null> {
    const init = this.#seekable ? { headers: { range: `bytes=${from}-` } } : {};
    const response = await ask(this.location, () => init, this.#options);
    if (response.status === 416) {
      await dismissed(response);
      return null;
    }
    if (!response.ok) {
      await dismissed(response);
      throw answered(this.location, response);
    }
    const same = this.#version === null ? null : sameVersion(this.#version, versionOf(response));
    // From the beginning again, without knowing that it is the same file: bytes of two files would be mixed.
    const isUnsafe = same === null && response.status !== 206 && !isChecked;
    if (same === false || isUnsafe) {
      await dismissed(response);
      throw same === false ? changed(this.location) : notContinued(this.location);
    }
    if (response.status !== 206) this.#seekable = false;
    return this.connectionOf(response, from);
  }

  async again(error: unknown, at: number, size: number | null): Promise<boolean> {
    this.#options.signal?.throwIfAborted();
    if (at > this.#brokeAt) this.#attempts.reset();
    this.#brokeAt = at;
    if (await this.#attempts.another()) return true;
    if (error === null) return false;
    const of = size === null ? "" : ` of ${size}`;
    throw downloadFailed(
      this.location,
      `the download broke off after ${at}${of} bytes (${messageOf(error)})`,
      { received: at, size },
      error,
    );
  }
}
