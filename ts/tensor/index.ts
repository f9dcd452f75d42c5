/** The public names of the tensor library. */

export type { Closeness, Operand } from "./arithmetic.ts";
export type { AfterReduction, Dim, Over, OverOne, OverOneOptions, OverOptions, Without } from "./axes.ts";
export { isTensor } from "./base.ts";
export {
  type ArrayDTypes,
  arange,
  type CreateOptions,
  type DTypeOf,
  eye,
  fromFloat32Array,
  full,
  fullLike,
  linspace,
  type NumericArray,
  ones,
  onesLike,
  type TensorOptions,
  tensor,
  zeros,
  zerosLike,
} from "./create.ts";
export {
  allclose,
  cat,
  div,
  einsum,
  pow,
  rearrange,
  reduce,
  repeat,
  scaledDotProductAttention,
  stack,
  sub,
  where,
} from "./functions.ts";
export { enableGrad, type GradOptions, grad, isGradEnabled, noGrad, parameter } from "./gradients.ts";
export { type AxisIndex, type IndexItem, type NamedIndex, type Range, slice } from "./indexing.ts";
export type { Eigh, Qr, SlogDet, Svd } from "./matrices.ts";
export { keep, type MemoryUse, memory, setMemoryLimit, tidy } from "./memory.ts";
export type { Nested, NestedArray, NestedOfRank } from "./nested.ts";
export type {
  AttentionOptions,
  ClassLossOptions,
  CrossEntropyOptions,
  KlDivOptions,
  LayerNormOptions,
  LossReduction,
  RmsNormOptions,
  RopeOptions,
} from "./neural.ts";
export {
  bernoulli,
  type DrawOptions,
  manualSeed,
  multinomial,
  type RandomOptions,
  rand,
  randint,
  randn,
  randperm,
} from "./random.ts";
export type { MinMax, ValuesAndIndices } from "./reductions.ts";
export type { Unique } from "./selection.ts";
export type { PatternSizes } from "./shapes.ts";
export { type BackwardOptions, Tensor } from "./tensor.ts";
export { TensorView } from "./view.ts";
