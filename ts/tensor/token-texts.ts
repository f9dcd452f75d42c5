/** What the tokens along a tensor's positions say, for whoever draws it. */

import type { Tensor } from "./tensor.ts";

type Texts = () => readonly string[] | null;

const remembered = new WeakMap<object, Texts>();

/** Tells the texts of the tokens along a tensor's positions, asked for only when it is shown. Internal. */
export function rememberTokens(tensor: Tensor, texts: Texts): void {
  remembered.set(tensor, texts);
}

/** What {@link rememberTokens} was told. Internal. */
export function tokensAlong(tensor: Tensor): Texts | undefined {
  return remembered.get(tensor);
}
