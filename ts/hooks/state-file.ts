/** Parameters as safetensors files. */

import { engine } from "../engine/current.ts";
import { files } from "../platform/platform.ts";
import { handleOf, wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Writes tensors by name. Internal. */
export function writeStateDict(
  path: string,
  state: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  files("save", "toTypedArray() gives the elements of each tensor of stateDict()");
  const tensors = [...state].map(([name, tensor]) => ({ name, tensor: handleOf(tensor) }));
  engine().writeTensors(path, tensors, metadata);
}

/** Reads all tensors of a file. Internal. */
export function readStateDict(path: string): Map<string, Tensor> {
  files("load", "give loadStateDict tensors, which tensor() makes of typed arrays");
  return new Map(
    engine()
      .readTensors(path)
      .tensors.map(({ name, tensor }) => [name, wrap(tensor)]),
  );
}
