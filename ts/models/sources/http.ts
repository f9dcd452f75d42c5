/** Requests for files, asked again where that is safe: nothing but reading ever is requested. Internal. */

import { type HooklensError, hooklensError } from "../../engine/errors.ts";
import { noAnswer } from "../../platform/no-answer.ts";

/** What asks a server. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** How to ask. */
export interface HttpOptions {
  readonly fetch: Fetch;
  readonly signal: AbortSignal | undefined;
}

/** How often one thing is asked for. */
const ATTEMPTS = 4;
/** Milliseconds before the second attempt; four times as long before each further one. */
const FIRST_WAIT = 200;
/** A server that wants to be left alone for longer is not waited for. */
const LONGEST_WAIT = 10_000;

/** Answers that another attempt may change. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** The error for a download that failed. */
export function downloadFailed(
  url: string,
  detail: string,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): HooklensError {
  const error = hooklensError("download_failed", `${url}: ${detail}`, { url, ...details });
  if (cause !== undefined) error.cause = cause;
  return error;
}

/** Resolves after so many milliseconds, or rejects with the signal's reason. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", over);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", over, { once: true });
    if (signal?.aborted) over();
  });
}

/** Attempts at one thing. */
export class Attempts {
  readonly #signal: AbortSignal | undefined;
  #failed = 0;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /** How many have failed. */
  get failed(): number {
    return this.#failed;
  }

  /** Something has come of the last one. */
  reset(): void {
    this.#failed = 0;
  }

  /** Waits for the time of another attempt; false if there is to be none. */
  async another(atLeast = 0): Promise<boolean> {
    this.#signal?.throwIfAborted();
    this.#failed++;
    if (this.#failed >= ATTEMPTS || atLeast > LONGEST_WAIT) return false;
    await pause(Math.max(atLeast, FIRST_WAIT * 4 ** (this.#failed - 1)), this.#signal);
    return true;
  }
}

/** Milliseconds that an answer asks to wait. */
function retryAfter(response: Response): number {
  const seconds = Number(response.headers.get("retry-after"));
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}

/**
 * Asks until there is an answer that stays. `init` is made anew for each attempt, which it is told the number of.
 *
 * @throws `download_failed` where there is no connection, or the server does not want to answer.
 */
export async function ask(
  url: string,
  init: (attempt: number) => RequestInit,
  { fetch, signal }: HttpOptions,
): Promise<Response> {
  const attempts = new Attempts(signal);
  for (;;) {
    let response: Response;
    try {
      response = await fetch(url, { ...init(attempts.failed), ...(signal === undefined ? {} : { signal }) });
    } catch (error) {
      if (await attempts.another()) continue;
      throw downloadFailed(
        url,
        `${noAnswer(url)} (${messageOf(error)})`,
        { attempts: attempts.failed },
        error,
      );
    }
    if (!PASSING.has(response.status)) return response;
    await dismissed(response);
    if (await attempts.another(retryAfter(response))) continue;
    throw answered(url, response);
  }
}

/** The error for an answer that is no file. */
export function answered(url: string, { status, statusText }: Response): HooklensError {
  const hint = status === 401 || status === 403 ? "; a fetch of your own can send who you are" : "";
  return downloadFailed(url, `the server answered ${status} ${statusText}`.trimEnd() + hint, { status });
}

/** Lets go of an answer's content. */
export async function dismissed(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

/** What tells one version of a file from another; null where the server does not say, or does not let pages see it. */
export interface Version {
  readonly etag: string | null;
  readonly modified: string | null;
  readonly length: number | null;
}

/** Servers mark tags of what they compress; it is the same file. */
function bareTag(tag: string | null): string | null {
  return tag === null ? null : tag.replace(/^W\//, "").replace(/-(gzip|br|zstd)"$/, '"');
}

/** The version of what was answered. */
export function versionOf(response: Response): Version {
  const { headers } = response;
  return {
    etag: bareTag(headers.get("etag")),
    modified: headers.get("last-modified"),
    length: sizeOf(response),
  };
}

/** Whether two versions are the same; null where nothing can be compared. */
export function sameVersion(a: Version, b: Version): boolean | null {
  for (const kind of ["etag", "modified", "length"] as const) {
    if (a[kind] !== null && b[kind] !== null) return a[kind] === b[kind];
  }
  return null;
}

/** The range that was answered, and the size of the whole; null where pages are not told. */
export function rangeOf(response: Response): { from: number; until: number; size: number | null } | null {
  const found = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  if (found === null) return null;
  const [, first, last, size] = found;
  return { from: Number(first), until: Number(last) + 1, size: size === "*" ? null : Number(size) };
}

/**
 * Bytes of the whole file. The length of an answer is none where it was compressed on its way, which pages are told only by
 * their own site.
 */
export function sizeOf(response: Response): number | null {
  const range = response.status === 206 ? rangeOf(response) : null;
  if (range !== null) return range.size;
  const length = response.headers.get("content-length");
  if (response.status === 206 || length === null || !/^\d+$/.test(length)) return null;
  const isHidden = response.type === "cors" || response.headers.has("content-encoding");
  return isHidden ? null : Number(length);
}
