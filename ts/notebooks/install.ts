/**
 * Tensors and caches show themselves in notebooks (Deno's kernel for Jupyter). The entry for Node imports this; pages have
 * no notebooks, and the pictures weigh as much as a third of the library.
 */

import { ActivationMap } from "../cache/activation-map.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { MediaBundle } from "../viz/picture.ts";
import { cacheBundle } from "./caches.ts";
import { tensorBundle } from "./tensors.ts";

const display = Symbol.for("Jupyter.display");

function install<T extends object>(prototype: T, bundle: (value: T) => MediaBundle): void {
  const value = function (this: T): MediaBundle {
    return bundle(this);
  };
  Object.defineProperty(prototype, display, { value, configurable: true, writable: true });
}

install<Tensor>(Tensor.prototype, tensorBundle);
install<ActivationMap>(ActivationMap.prototype, cacheBundle);
