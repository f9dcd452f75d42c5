/** Arguments of calls, on the page. Nothing here needs an engine. */

import type { DType } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import type { Line } from "./line.ts";
import { isNumbers, WIRED } from "./protocol.ts";
import { Remote } from "./remote.ts";
import { ModuleFunction } from "./worker-hook.ts";

/** Arguments ready to be sent. */
export interface Encoded {
  readonly args: readonly unknown[];
  readonly modules: readonly string[];
  readonly transfer: readonly ArrayBuffer[];
}

/** A tensor of the page's own engine; looked at by its form, so that the page needs none. */
interface PageTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly axes: readonly string[];
  toTypedArray(): ArrayBufferView;
}

/** An intervention of the page. */
interface PageEdit {
  readonly tensors: readonly unknown[];
  toJSON(): unknown;
}

function isPageTensor(value: object): value is PageTensor {
  return "toTypedArray" in value && typeof value.toTypedArray === "function" && "dtype" in value;
}

function isPageEdit(value: object): value is PageEdit {
  return (
    "toJSON" in value &&
    typeof value.toJSON === "function" &&
    "tensors" in value &&
    Array.isArray(value.tensors)
  );
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** Encodes the arguments of one call. */
export class Encoder {
  readonly #modules: string[] = [];
  readonly #transfer: ArrayBuffer[] = [];
  readonly #what: string;

  readonly #line: Line;

  constructor(what: string, line: Line) {
    this.#what = what;
    this.#line = line;
  }

  encode(args: readonly unknown[]): Encoded {
    const encoded = args.map((arg) => this.#value(arg));
    return { args: encoded, modules: this.#modules, transfer: this.#transfer };
  }

  /** @param edits whether an object with a `kind` is an intervention, as everywhere but in data of the user's own. */
  #value(value: unknown, edits = true): unknown {
    if (typeof value === "function" || typeof value === "symbol") {
      throw hooklensError(
        "invalid_argument",
        `${this.#what}: a ${typeof value} cannot be sent to a worker; hooks are interventions or moduleHook(address), filters are names, globs or expressions`,
      );
    }
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return isNumbers(value) ? value : value.map((item) => this.#value(item, edits));
    if (value instanceof Remote) return { [WIRED]: "ref", id: value.useIn(this.#what, this.#line) };
    if (value instanceof ModuleFunction) return this.#function(value);
    if (isPageTensor(value)) return this.#tensor(value);
    if (isPageEdit(value)) return this.#edit(value.toJSON(), value.tensors);
    if (!isPlain(value)) return value;
    if (edits && "kind" in value) {
      const { tensors = [], ...spec } = value as { readonly tensors?: readonly unknown[] };
      return this.#edit(spec, tensors);
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#value(item, edits)]));
  }

  #function({ module, export: name, argument }: ModuleFunction): unknown {
    const known = this.#modules.indexOf(module);
    const at = known >= 0 ? known : this.#modules.push(module) - 1;
    return { [WIRED]: "function", module: at, name, argument: this.#value(argument, false) };
  }

  #tensor(tensor: PageTensor): unknown {
    const { dtype, shape, axes } = tensor;
    // A copy already, made for this: it may go.
    const bits = this.#moved(tensor.toTypedArray());
    return { [WIRED]: "bits", bits, dtype, shape: [...shape], axes: [...axes] };
  }

  #edit(spec: unknown, tensors: readonly unknown[]): unknown {
    return { [WIRED]: "edit", spec, tensors: tensors.map((tensor) => this.#value(tensor)) };
  }

  #moved(bits: ArrayBufferView): ArrayBufferView {
    if (bits.buffer instanceof ArrayBuffer) this.#transfer.push(bits.buffer);
    return bits;
  }
}
