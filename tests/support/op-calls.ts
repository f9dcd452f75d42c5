/** Each operation of the op fixtures, as a user would call it: inputs and settings in, results out. */

import type { IndexItem } from "../../ts/index.ts";
import {
  arange,
  cat,
  div,
  einsum,
  eye,
  full,
  linspace,
  ones,
  pow,
  scaledDotProductAttention,
  stack,
  sub,
  type Tensor,
  where,
  zeros,
} from "../../ts/index.ts";

/** Settings as the fixtures spell them. */
export type Attrs = Readonly<Record<string, unknown>>;

type Call = (x: Tensor, attrs: Reader, inputs: readonly Tensor[]) => Tensor | readonly Tensor[];

/** Settings with types: the fixtures are data from outside. */
class Reader {
  readonly #attrs: Attrs;
  constructor(attrs: Attrs) {
    this.#attrs = attrs;
  }
  has(name: string): boolean {
    return this.#attrs[name] !== undefined && this.#attrs[name] !== null;
  }
  raw(name: string): unknown {
    return this.#attrs[name];
  }
  number(name: string): number {
    const value = this.#attrs[name];
    if (value === "inf") return Infinity;
    if (value === "-inf") return -Infinity;
    if (value === "nan") return NaN;
    if (typeof value !== "number") throw new TypeError(`${name} is ${String(value)}`);
    return value;
  }
  numberOr<T>(name: string, other: T): number | T {
    return this.has(name) ? this.number(name) : other;
  }
  flag(name: string): boolean {
    return this.#attrs[name] === true;
  }
  list(name: string): number[] {
    return this.#attrs[name] as number[];
  }
  text<T extends string>(name: string): T {
    return this.#attrs[name] as T;
  }
  /** The `over` of a reduction. */
  get over() {
    return this.has("dim") || this.has("keepdim")
      ? { dim: (this.#attrs["dim"] ?? null) as number | number[] | null, keepdim: this.flag("keepdim") }
      : null;
  }
  /** Settings under new names; those that are not set are left out. */
  pick(names: Readonly<Record<string, string>>): Record<string, never> {
    const found = Object.entries(names).filter(([from]) => this.has(from));
    return Object.fromEntries(found.map(([from, to]) => [to, this.#attrs[from]])) as Record<string, never>;
  }
}

function second(inputs: readonly Tensor[]): Tensor {
  const other = inputs[1];
  if (other === undefined) throw new TypeError("the case needs a second input");
  return other;
}

/** The right-hand side: the second input, or the number `other`. */
function right(a: Reader, inputs: readonly Tensor[]): Tensor | number {
  return a.has("other") ? a.number("other") : second(inputs);
}

function both(a: Reader, x: Tensor, inputs: readonly Tensor[]): [Tensor | number, Tensor | number] {
  return a.has("self") ? [a.number("self"), x] : [x, right(a, inputs)];
}

function index(a: Reader, inputs: readonly Tensor[]): IndexItem[] {
  type Item = { type: string; value?: number; start?: number; stop?: number; step?: number; input?: number };
  return (a.raw("index") as Item[]).map((item): IndexItem => {
    if (item.type === "int") return item.value ?? 0;
    if (item.type === "none") return null;
    if (item.type === "ellipsis") return "...";
    if (item.type === "slice")
      return { start: item.start ?? null, stop: item.stop ?? null, step: item.step ?? null };
    const tensor = inputs[item.input ?? -1];
    if (tensor === undefined) throw new TypeError(`index item of type ${item.type}`);
    return tensor;
  });
}

function extreme(op: "max" | "min" | "median"): Call {
  return (x, a) => {
    if (!a.has("dim")) return x[op]();
    const { values, indices } = x[op](a.number("dim"), a.flag("keepdim"));
    return [values, indices];
  };
}

const CREATE = { dtype: "dtype" };

/** Matrices to compare that do not depend on the signs of vectors. */
const FACTORISATIONS: Record<string, Call> = {
  svd: (x) => {
    const { u, s, vh } = x.svd();
    return [
      s,
      u.mul(s.unsqueeze(-2)).matmul(vh),
      u.transpose(-2, -1).matmul(u),
      vh.matmul(vh.transpose(-2, -1)),
    ];
  },
  qr: (x) => {
    const { q, r } = x.qr();
    return [q.matmul(r), r.abs(), q.transpose(-2, -1).matmul(q)];
  },
  eigh: (x) => {
    const { values, vectors } = x.eigh();
    const back = vectors.transpose(-2, -1);
    return [values, vectors.mul(values.unsqueeze(-2)).matmul(back), back.matmul(vectors)];
  },
};

/** By the fixtures' name of the operation. */
export const OP_CALLS: Readonly<Record<string, Call>> = {
  neg: (x) => x.neg(),
  abs: (x) => x.abs(),
  sign: (x) => x.sign(),
  exp: (x) => x.exp(),
  log: (x) => x.log(),
  log1p: (x) => x.log1p(),
  expm1: (x) => x.expm1(),
  sqrt: (x) => x.sqrt(),
  rsqrt: (x) => x.rsqrt(),
  sin: (x) => x.sin(),
  cos: (x) => x.cos(),
  tanh: (x) => x.tanh(),
  sigmoid: (x) => x.sigmoid(),
  relu: (x) => x.relu(),
  erf: (x) => x.erf(),
  floor: (x) => x.floor(),
  ceil: (x) => x.ceil(),
  round: (x) => x.round(),
  reciprocal: (x) => x.reciprocal(),
  square: (x) => x.square(),
  silu: (x) => x.silu(),
  isnan: (x) => x.isnan(),
  isfinite: (x) => x.isfinite(),
  gelu_fast: (x) => x.geluFast(),
  quick_gelu: (x) => x.quickGelu(),
  relu_squared: (x) => x.reluSquared(),
  logical_not: (x) => x.logicalNot(),
  detach: (x) => x.detach(),
  clamp: (x, a) => x.clamp(a.numberOr("min", null), a.numberOr("max", null)),
  to: (x, a) => x.to(a.text<"int64" | "float32" | "bool">("dtype")),
  gelu: (x, a) => x.gelu(a.has("approximate") ? a.text("approximate") : "none"),
  softplus: (x, a) => x.softplus(a.numberOr("beta", undefined), a.numberOr("threshold", undefined)),
  solu: (x, a) => x.solu(a.numberOr("dim", undefined)),
  dropout: (x, a) => x.dropout(a.number("p"), a.flag("training")),

  add: (x, a, xs) => x.add(right(a, xs)),
  sub: (x, a, xs) => (a.has("self") ? sub(a.number("self"), x) : x.sub(right(a, xs))),
  mul: (x, a, xs) => x.mul(right(a, xs)),
  div: (x, a, xs) => div(...both(a, x, xs), a.has("rounding_mode") ? a.text("rounding_mode") : undefined),
  pow: (x, a, xs) => pow(...both(a, x, xs)),
  maximum: (x, _, xs) => x.maximum(second(xs)),
  minimum: (x, _, xs) => x.minimum(second(xs)),
  fmod: (x, a, xs) => x.fmod(right(a, xs)),
  remainder: (x, a, xs) => x.remainder(right(a, xs)),
  atan2: (x, _, xs) => x.atan2(second(xs)),
  eq: (x, a, xs) => x.eq(right(a, xs)),
  ne: (x, a, xs) => x.ne(right(a, xs)),
  lt: (x, a, xs) => x.lt(right(a, xs)),
  le: (x, a, xs) => x.le(right(a, xs)),
  gt: (x, a, xs) => x.gt(right(a, xs)),
  ge: (x, a, xs) => x.ge(right(a, xs)),
  logical_and: (x, _, xs) => x.logicalAnd(second(xs)),
  logical_or: (x, _, xs) => x.logicalOr(second(xs)),
  where: (x, a, xs) => where(x, second(xs), a.has("other") ? a.number("other") : (xs[2] as Tensor)),
  masked_fill: (x, a, xs) => x.maskedFill(second(xs), a.number("value")),

  sum: (x, a) => x.sum(a.over),
  mean: (x, a) => x.mean(a.over),
  prod: (x, a) => x.prod(a.over),
  amax: (x, a) => x.amax(a.over),
  amin: (x, a) => x.amin(a.over),
  max: extreme("max"),
  min: extreme("min"),
  median: extreme("median"),
  argmax: (x, a) => x.argmax(a.has("dim") ? { dim: a.number("dim"), keepdim: a.flag("keepdim") } : null),
  argmin: (x, a) => x.argmin(a.has("dim") ? { dim: a.number("dim"), keepdim: a.flag("keepdim") } : null),
  any: (x, a) => x.any(a.over),
  all: (x, a) => x.all(a.over),
  var: (x, a) => x.var(a.over, a.numberOr("correction", undefined)),
  std: (x, a) => x.std(a.over, a.numberOr("correction", undefined)),
  norm: (x, a) => x.norm(a.over, a.numberOr("p", undefined)),
  logsumexp: (x, a) => x.logsumexp(a.over),
  cumsum: (x, a) => x.cumsum(a.number("dim")),
  softmax: (x, a) => x.softmax(a.number("dim")),
  log_softmax: (x, a) => x.logSoftmax(a.number("dim")),
  layer_norm: (x, a, [, weight = null, bias = null]) =>
    x.layerNorm(a.list("normalized_shape"), { weight, bias, ...a.pick({ eps: "eps" }) }),
  rms_norm: (x, a, [, weight = null]) =>
    x.rmsNorm(a.list("normalized_shape"), { weight, ...a.pick({ eps: "eps" }) }),

  matmul: (x, _, xs) => x.matmul(second(xs)),
  bmm: (x, _, xs) => x.bmm(second(xs)),
  outer: (x, _, xs) => x.outer(second(xs)),
  dot: (x, _, xs) => x.dot(second(xs)),
  linear: (x, _, xs) => x.linear(second(xs), xs[2]),
  einsum: (_, a, xs) => einsum(a.text("equation"), ...xs),
  svdvals: (x) => x.svdvals(),
  eigvalsh: (x) => x.eigvalsh(),
  inverse: (x) => x.inverse(),
  det: (x) => x.det(),
  solve: (x, _, xs) => x.solve(second(xs)),
  ...FACTORISATIONS,

  reshape: (x, a) => x.reshape(a.list("shape")),
  view: (x, a) => x.view(a.list("shape")),
  flatten: (x, a) => x.flatten(a.numberOr("start_dim", undefined), a.numberOr("end_dim", undefined)),
  transpose: (x, a) => x.transpose(a.number("dim0"), a.number("dim1")),
  permute: (x, a) => x.permute(a.list("dims")),
  squeeze: (x, a) => x.squeeze(a.has("dim") ? a.list("dim") : undefined),
  unsqueeze: (x, a) => x.unsqueeze(a.number("dim")),
  expand: (x, a) => x.expand(a.list("size")),
  repeat: (x, a) => x.repeat(a.list("repeats")),
  repeat_interleave: (x, a, xs) =>
    x.repeatInterleave(a.has("repeats") ? a.number("repeats") : second(xs), a.numberOr("dim", undefined)),
  cat: (_, a, xs) => cat(xs, a.numberOr("dim", undefined)),
  stack: (_, a, xs) => stack(xs, a.numberOr("dim", undefined)),
  split: (x, a) => x.split(a.list("split_size_or_sections"), a.numberOr("dim", undefined)),
  chunk: (x, a) => x.chunk(a.number("chunks"), a.numberOr("dim", undefined)),
  flip: (x, a) => x.flip(a.list("dims")),
  roll: (x, a) => x.roll(a.list("shifts"), a.has("dims") ? a.list("dims") : undefined),
  narrow: (x, a) => x.narrow(a.number("dim"), a.number("start"), a.number("length")),
  select: (x, a) => x.select(a.number("dim"), a.number("index")),
  slice: (x, a) =>
    x.slice(
      a.number("dim"),
      a.numberOr("start", null),
      a.numberOr("stop", null),
      a.numberOr("step", undefined),
    ),
  tril: (x, a) => x.tril(a.numberOr("diagonal", undefined)),
  triu: (x, a) => x.triu(a.numberOr("diagonal", undefined)),
  diagonal: (x, a) =>
    x.diagonal(a.numberOr("offset", undefined), a.numberOr("dim1", undefined), a.numberOr("dim2", undefined)),
  pad: (x, a) => x.pad(a.list("pad"), a.numberOr("value", undefined)),
  unfold: (x, a) => x.unfold(a.number("dim"), a.number("size"), a.number("step")),

  index: (x, a, xs) => x.get(...index(a, xs)),
  index_put: (x, a, xs) => {
    const view = x.at(...index(a, xs));
    const values = a.has("values_input") ? (xs[a.number("values_input")] as Tensor) : a.number("value");
    return a.flag("accumulate") ? view.add(values) : view.set(values);
  },
  index_select: (x, a, xs) => x.indexSelect(a.number("dim"), second(xs)),
  gather: (x, a, xs) => x.gather(a.number("dim"), second(xs)),
  take_along_dim: (x, a, xs) => x.takeAlongDim(second(xs), a.number("dim")),
  scatter: (x, a, xs) =>
    x.scatter(a.number("dim"), second(xs), a.has("value") ? a.number("value") : (xs[2] as Tensor)),
  scatter_add: (x, a, xs) => x.scatterAdd(a.number("dim"), second(xs), xs[2] as Tensor),
  one_hot: (x, a) => x.oneHot(a.numberOr("num_classes", undefined)),
  topk: (x, a) => {
    const largest = a.has("largest") ? a.flag("largest") : undefined;
    const { values, indices } = x.topk(a.number("k"), a.numberOr("dim", undefined), largest);
    return [values, indices];
  },
  sort: (x, a) => {
    const { values, indices } = x.sort(a.numberOr("dim", undefined), a.flag("descending"));
    return [values, indices];
  },
  argsort: (x, a) => x.argsort(a.numberOr("dim", undefined), a.flag("descending")),
  unique: (x) => {
    const { values, inverse, counts } = x.unique();
    return [values, inverse, counts];
  },
  searchsorted: (x, a, xs) => x.searchsorted(second(xs), a.flag("right")),

  arange: (_, a) => arange(a.numberOr("start", 0), a.number("end"), a.numberOr("step", 1), a.pick(CREATE)),
  linspace: (_, a) => linspace(a.number("start"), a.number("end"), a.number("steps")),
  eye: (_, a) => eye(a.number("n"), a.numberOr("m", a.number("n")), a.pick(CREATE)),
  full: (_, a) =>
    typeof a.raw("fill_value") === "boolean"
      ? full(a.list("size"), a.flag("fill_value"), a.pick(CREATE))
      : full(a.list("size"), a.number("fill_value"), a.pick(CREATE)),
  zeros: (_, a) => zeros(a.list("size"), a.pick(CREATE)),
  ones: (_, a) => ones(a.list("size"), a.pick(CREATE)),

  embedding: (x, _, xs) => x.embedding(second(xs)),
  cross_entropy: (x, a, xs) =>
    x.crossEntropy(
      second(xs),
      a.pick({ reduction: "reduction", ignore_index: "ignoreIndex", label_smoothing: "labelSmoothing" }),
    ),
  nll_loss: (x, a, xs) =>
    x.nllLoss(second(xs), a.pick({ reduction: "reduction", ignore_index: "ignoreIndex" })),
  kl_div: (x, a, xs) => x.klDiv(second(xs), a.pick({ reduction: "reduction", log_target: "logTarget" })),
  mse_loss: (x, a, xs) => x.mseLoss(second(xs), a.has("reduction") ? a.text("reduction") : undefined),
  rope_rotate_half: (x, a, xs) =>
    x.ropeRotateHalf(second(xs), a.pick({ base: "base", rotary_dim: "rotaryDim" })),
  rope_interleaved: (x, a, xs) =>
    x.ropeInterleaved(second(xs), a.pick({ base: "base", rotary_dim: "rotaryDim" })),
  scaled_dot_product_attention: (x, a, xs) =>
    scaledDotProductAttention(x, second(xs), xs[2] as Tensor, {
      mask: xs[3] ?? null,
      ...a.pick({ is_causal: "isCausal", scale: "scale", enable_gqa: "enableGqa" }),
    }),
};

/** Runs an operation of the fixtures. */
export function callOp(op: string, inputs: readonly Tensor[], attrs: Attrs): readonly Tensor[] {
  const call = OP_CALLS[op];
  if (call === undefined) throw new TypeError(`the table of calls lacks '${op}'`);
  // Operations that create tensors have no first input and do not look at it.
  const out = call(inputs[0] as Tensor, new Reader(attrs), inputs);
  return Array.isArray(out) ? out : [out as Tensor];
}
