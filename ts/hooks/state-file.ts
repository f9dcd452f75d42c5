/** Parameters as safetensors files. */

import { engine } from "../engine/current.ts";
import { handleOf, wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Writes tensors by name. Internal. */
export function writeStateDict(
  path: string,
  state: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const tensors = [...state].map(([name, tensor]) => ({ name, tensor: handleOf(tensor) }));
  engine().writeTensors(path, tensors, metadata);
}

/** Reads all tensors of a file. Internal. */
export function readStateDict(path: string): Map<string, Tensor> {
  return new Map(
    engine()
      .readTensors(path)
      .tensors.map(({ name, tensor }) => [name, wrap(tensor)]),
  );
}
