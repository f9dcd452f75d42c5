/** Arguments of calls, in the worker: what stands for something becomes that. */

import { engine } from "../engine/current.ts";
import type { Bits } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { messageOf } from "../engine/message.ts";
import type { HookPointLike } from "../hooks/hook-fn.ts";
import { Intervention } from "../hooks/interventions.ts";
import { wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Held } from "./held.ts";
import { type Call, type FunctionWire, isNumbers, isWired, type Wired } from "./protocol.ts";
import type { WorkerContext } from "./worker-hook.ts";

type Library = WorkerContext["hooklens"];
type Exports = Readonly<Record<string, unknown>>;
type AnyFunction = (...args: readonly unknown[]) => unknown;

/** Where modules that a page names are imported from. */
export type Import = (address: string) => Promise<Exports>;

/** Numbers of what a value refers to. */
export function* refsIn(value: unknown): Generator<number> {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if (Array.isArray(value) && isNumbers(value)) return;
  if (isWired(value) && "id" in value) yield value.id;
  else for (const item of Object.values(value)) yield* refsIn(item);
}

/** Imports what a call refers to. */
export async function importAll(addresses: readonly string[], load: Import): Promise<readonly Exports[]> {
  return Promise.all(
    addresses.map(async (address) => {
      try {
        return await load(address);
      } catch (error) {
        const detail = messageOf(error);
        throw hooklensError("missing_file", `the worker cannot import ${address}: ${detail}`, {
          path: address,
        });
      }
    }),
  );
}

/** Decodes the arguments of one call. */
export class Decoder {
  readonly #held: Held;
  readonly #library: Library;
  readonly #modules: readonly Exports[];
  readonly #addresses: readonly string[];
  /** Tensors made for this call. */
  readonly #made: Tensor[] = [];

  constructor(held: Held, library: Library, call: Call, modules: readonly Exports[]) {
    this.#held = held;
    this.#library = library;
    this.#modules = modules;
    this.#addresses = call.modules;
  }

  value(value: unknown): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (isWired(value)) return this.#wired(value);
    if (Array.isArray(value)) return isNumbers(value) ? value : value.map((item) => this.value(item));
    if (Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.value(item)]));
  }

  #wired(wired: Wired): unknown {
    switch (wired["hooklens:wired"]) {
      case "ref":
        return this.#held.get(wired.id);
      case "bits": {
        const { bits, dtype, shape, axes } = wired;
        const made = wrap(engine().fromBits(bits as Bits, dtype, shape, "cpu"), axes);
        this.#made.push(made);
        return made;
      }
      case "edit":
        return Intervention.fromJSON(wired.spec, this.value(wired.tensors) as readonly Tensor[]);
      case "function":
        return this.#hook(wired);
      default:
        throw hooklensError("invalid_argument", "a page sent what only a worker sends");
    }
  }

  /** A hook that also gets its argument and the library. */
  #hook(wired: FunctionWire): (value: Tensor, hook: HookPointLike) => unknown {
    const run = this.functionOf(wired);
    const context = this.contextOf(wired);
    return (value, hook) => run(value, hook, context);
  }

  /** What a function gets beside its own arguments. */
  contextOf({ argument }: FunctionWire): WorkerContext {
    return { argument: this.value(argument), hooklens: this.#library };
  }

  /** The function that a module exports. */
  functionOf({ module, name }: FunctionWire): AnyFunction {
    const exported = this.#modules[module] ?? {};
    const found = exported[name];
    if (typeof found === "function") return found as AnyFunction;
    const names = Object.keys(exported).join(", ") || "nothing";
    throw hooklensError(
      "invalid_argument",
      `${this.#addresses[module]} exports no function '${name}'; it exports ${names}`,
    );
  }

  /** Frees the tensors that were made for the call, or those of them that `which` says. */
  dispose(which: (made: Tensor) => boolean = () => true): void {
    for (const tensor of this.#made.splice(0)) if (which(tensor)) tensor.dispose();
  }
}
