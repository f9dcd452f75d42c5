import { createRequire } from "node:module";
import { engineInfo } from "../../ts/engine/current.ts";
import type { Engine } from "../../ts/engine/engine.ts";
import type { WasmGlue } from "../../ts/engine/wasm.ts";
import type { EngineModule } from "../../ts/engine/wire.ts";

const require = createRequire(import.meta.url);

/** The engine under test. */
export const engine: Engine = engineInfo().engine;

/** What an instance of WebAssembly exports, without guards around its functions. The instance must have been started. */
export function wasmModule(): EngineModule {
  const glue: WasmGlue = require("../../wasm/hooklens.js");
  return glue.exported(glue.invoke, glue.release);
}

/** What the binding exports, without guards around its functions. */
export const native: EngineModule = engine.name === "wasm" ? wasmModule() : require(engineInfo().source);

/** The number of the operation of that name. */
export function op(name: string): number {
  const at = engine.ops().findIndex((spec) => spec.name === name);
  if (at < 0) throw new Error(`no operation is called ${name}`);
  return at;
}

/** A float32 tensor. */
export function floats(values: readonly number[], shape: readonly number[] = [values.length]) {
  return engine.fromBits(Float32Array.from(values), "float32", shape, "cpu");
}

/** A value of any type, as untyped JavaScript would pass it. */
export function untyped(value: unknown): never {
  return value as never;
}
