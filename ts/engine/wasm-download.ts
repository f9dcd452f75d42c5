/** From an address to a compiled module, with every way in which that goes wrong told apart. */

import { noAnswer } from "../platform/no-answer.ts";
import type { WasmSource } from "./current.ts";
import { type HooklensError, hooklensError } from "./errors.ts";
import { messageOf } from "./message.ts";
import { webAssembly } from "./web-assembly.ts";

const WHAT = "wasm/hooklens_bg.wasm of the package 'hooklens'";

function refused(from: string, detail: string, details: object = {}, cause?: unknown): HooklensError {
  const error = hooklensError(
    "download_failed",
    `the engine could not be loaded from ${from}: ${detail}. It is ${WHAT}; initEngine({ wasm }) takes another address, or the bytes, and may be called again`,
    { url: from, ...details },
  );
  if (cause !== undefined) error.cause = cause;
  return error;
}

/** What is wrong with bytes that did not compile. */
function damage(bytes: Uint8Array, error: unknown): string {
  const text = new TextDecoder().decode(bytes.subarray(0, 40)).trimStart();
  if (bytes.length === 0) return "it is empty";
  if (/^<(!doctype|html|\?xml)/i.test(text)) {
    return "the server answered with a page, as it does for addresses that it does not know";
  }
  if (bytes[0] !== 0 || bytes[1] !== 0x61 || bytes[2] !== 0x73 || bytes[3] !== 0x6d) {
    return "it is no WebAssembly";
  }
  return `its ${bytes.length} bytes do not compile, perhaps because some are missing (${messageOf(error)})`;
}

/** Content-Security-Policy lets a page compile only with `'wasm-unsafe-eval'`. */
function isForbidden(error: unknown): boolean {
  return /Content Security Policy|disallowed by embedder|unsafe-eval/i.test(messageOf(error));
}

function notCompiled(from: string, bytes: Uint8Array, error: unknown): HooklensError {
  if (!isForbidden(error)) return refused(from, damage(bytes, error), { bytes: bytes.length }, error);
  const told = hooklensError(
    "engine_unavailable",
    `this page may not compile WebAssembly: its Content-Security-Policy needs script-src 'wasm-unsafe-eval' (${messageOf(error)})`,
  );
  told.cause = error;
  return told;
}

function bytesOf(source: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);
}

async function ofBytes(from: string, bytes: Uint8Array): Promise<WebAssembly.Module> {
  const api = webAssembly();
  try {
    return await api.compile(bytes);
  } catch (error) {
    throw notCompiled(from, bytes, error);
  }
}

async function bytesOfResponse(from: string, response: Response): Promise<Uint8Array> {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw refused(from, `the download broke off (${messageOf(error)})`, {}, error);
  }
}

async function ofResponse(from: string, response: Response): Promise<WebAssembly.Module> {
  if (!response.ok) {
    throw refused(from, `the server answered ${response.status} ${response.statusText}`.trimEnd(), {
      status: response.status,
    });
  }
  const api = webAssembly();
  const type = response.headers.get("content-type") ?? "";
  if (api.compileStreaming === undefined || !/^application\/wasm\b/i.test(type)) {
    return ofBytes(from, await bytesOfResponse(from, response));
  }
  // Browsers keep the machine code of what they compile while it arrives; the copy is for saying what was wrong.
  const copy = response.clone();
  try {
    const module = await api.compileStreaming(response);
    // What was read of it is let go.
    void copy.body?.cancel().catch(() => undefined);
    return module;
  } catch (error) {
    throw notCompiled(from, await bytesOfResponse(from, copy), error);
  }
}

async function fetched(address: string | URL): Promise<WebAssembly.Module> {
  const from = String(address);
  let response: Response;
  try {
    response = await fetch(address);
  } catch (error) {
    throw refused(from, `${noAnswer(address)} (${messageOf(error)})`, {}, error);
  }
  return ofResponse(from, response);
}

function isPromise(source: object): source is PromiseLike<Response> {
  return "then" in source && typeof source.then === "function";
}

/**
 * Compiles the engine.
 *
 * @throws `no_webassembly`, `no_simd`, before anything is fetched; `download_failed` for what does not arrive whole or is
 *   something else; `engine_unavailable` where the page forbids compiling.
 */
export async function compiled(source: WasmSource): Promise<WebAssembly.Module> {
  webAssembly();
  if (typeof source === "string" || source instanceof URL) return fetched(source);
  if (typeof source !== "object" || source === null) {
    throw hooklensError(
      "invalid_argument",
      `initEngine: wasm is an address, a Response, bytes or a WebAssembly.Module, got ${typeof source}`,
    );
  }
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source))
    return ofBytes("the bytes given", bytesOf(source));
  if (isPromise(source)) return compiled(await source);
  if (source instanceof Response) return ofResponse(source.url || "the response given", source);
  return source;
}
