/**
 * WebAssembly as far as starting the engine needs it. Neither Node's types nor the language's declare it, and the DOM's
 * would let everything here use a page's globals.
 */

import { hooklensError } from "./errors.ts";

interface WebAssemblyApi {
  readonly Module: new (bytes: ArrayBuffer | ArrayBufferView) => WebAssembly.Module;
  validate(bytes: Uint8Array): boolean;
  compile(bytes: ArrayBuffer | ArrayBufferView): Promise<WebAssembly.Module>;
  compileStreaming?(response: Response): Promise<WebAssembly.Module>;
}

/** `(func (drop (i8x16.splat (i32.const 0))))`: valid only where 128-bit vectors are known. */
const VECTORS = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
  ...[1, 4, 1, 0x60, 0, 0], // one type: no parameters, no results
  ...[3, 2, 1, 0], // one function of it
  ...[10, 9, 1, 7, 0, 0x41, 0, 0xfd, 15, 0x1a, 0x0b], // its body
);

/**
 * What this page compiles WebAssembly with.
 *
 * @throws `no_webassembly` where there is none; `no_simd` where it lacks 128-bit vectors, which the engine is made of.
 */
export function webAssembly(): WebAssemblyApi {
  const { WebAssembly: api } = globalThis as { readonly WebAssembly?: WebAssemblyApi };
  if (typeof api !== "object" || typeof api.validate !== "function") {
    throw hooklensError(
      "no_webassembly",
      "hooklens needs WebAssembly, which this browser lacks or has switched off (some do in their strictest security mode)",
    );
  }
  if (!api.validate(VECTORS)) {
    throw hooklensError(
      "no_simd",
      "hooklens needs WebAssembly's 128-bit vectors (SIMD), which this browser lacks: Chrome has them from version 91, Firefox from 89, Safari from 16.4",
    );
  }
  return api;
}
