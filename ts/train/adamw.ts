/**
 * AdamW: Adam with decoupled weight decay (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019), with
 * torch's formulas and defaults, so that the same gradients give the same steps.
 */
import { HooklensError } from "../engine/errors.ts";
import { zerosLike } from "../tensor/create.ts";
import { noGrad } from "../tensor/gradients.ts";
import { keep, tidy } from "../tensor/memory.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Settings of {@link AdamW}; each group of parameters may have its own. */
export interface AdamWOptions {
  /**
   * Learning rate.
   * @default 1e-3
   */
  readonly lr?: number;
  /**
   * How slowly the means of the gradient and of its square forget.
   * @default [0.9, 0.999]
   */
  readonly betas?: readonly [number, number];
  /**
   * Added to the denominator.
   * @default 1e-8
   */
  readonly eps?: number;
  /**
   * Share of `lr` by which parameters shrink at each step.
   * @default 1e-2
   */
  readonly weightDecay?: number;
}

/** Parameters by name, with settings of their own. */
export interface ParameterGroup extends AdamWOptions {
  readonly parameters: Iterable<readonly [name: string, parameter: Tensor]>;
}

interface Group {
  lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly parameters: readonly (readonly [name: string, parameter: Tensor])[];
}

/** What has been seen of a parameter's gradients. */
interface Moments {
  steps: number;
  mean: Tensor;
  square: Tensor;
}

function isGroup(value: ParameterGroup | readonly [string, Tensor]): value is ParameterGroup {
  return "parameters" in value;
}

function checked(options: AdamWOptions): Omit<Group, "parameters"> {
  const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 1e-2 } = options;
  const refuse = (what: string, got: unknown): never => {
    throw new HooklensError("invalid_argument", `AdamW: ${what}, got ${String(got)}`);
  };
  if (!(lr >= 0)) refuse("lr must be 0 or more", lr);
  if (!(eps >= 0)) refuse("eps must be 0 or more", eps);
  if (!(weightDecay >= 0)) refuse("weightDecay must be 0 or more", weightDecay);
  if (!betas.every((beta) => beta >= 0 && beta < 1)) refuse("betas must be at least 0 and below 1", betas);
  return { lr, betas, eps, weightDecay };
}

/**
 * Updates parameters from their gradients.
 *
 * @example
 * ```ts
 * const optimizer = new AdamW(model.namedParameters(), { lr: 3e-4 });
 * loss.backward();
 * optimizer.step();
 * optimizer.zeroGrad();
 * ```
 */
export class AdamW implements Disposable {
  readonly #groups: readonly Group[];
  readonly #moments = new Map<string, Moments>();

  /**
   * @param parameters Pairs as `namedParameters()` gives them, or groups of them with settings of their own.
   * @throws `invalid_argument` for settings out of range, for no parameters, for a name that occurs twice, and for a
   * tensor that requires no gradient.
   */
  constructor(
    parameters: Iterable<readonly [name: string, parameter: Tensor]> | readonly ParameterGroup[],
    options: AdamWOptions = {},
  ) {
    const given = [...parameters];
    const groups = given.filter(isGroup);
    const single = given.filter((item) => !isGroup(item)) as (readonly [string, Tensor])[];
    this.#groups = [...groups, ...(single.length > 0 ? [{ parameters: single }] : [])].map((group) => ({
      ...checked({ ...options, ...group }),
      parameters: [...group.parameters],
    }));
    const names = new Set<string>();
    for (const [name, parameter] of this.#named()) {
      if (names.has(name)) throw new HooklensError("invalid_argument", `AdamW: '${name}' is there twice`);
      if (!parameter.requiresGrad || !parameter.isLeaf) {
        throw new HooklensError("invalid_argument", `AdamW: '${name}' is not a parameter; make it with parameter()`);
      }
      names.add(name);
    }
    if (names.size === 0) throw new HooklensError("invalid_argument", "AdamW: there are no parameters");
  }

  *#named(): Generator<readonly [string, Tensor]> {
    for (const group of this.#groups) yield* group.parameters;
  }

  /** Learning rate of the first group; assigning sets it for all groups. */
  get lr(): number {
    return this.#groups[0]?.lr ?? 0;
  }

  set lr(value: number) {
    checked({ lr: value });
    for (const group of this.#groups) group.lr = value;
  }

  /** One step along the gradients. Parameters without one stay as they are. */
  step(): void {
    noGrad(() => {
      for (const group of this.#groups) {
        for (const [name, parameter] of group.parameters) tidy(() => this.#update(group, name, parameter));
      }
    });
  }

  #update(group: Group, name: string, parameter: Tensor): void {
    const { grad } = parameter;
    if (grad === null) return;
    const {
      lr,
      betas: [beta1, beta2],
      eps,
      weightDecay,
    } = group;
    const moments = this.#moments.get(name) ?? {
      steps: 0,
      mean: zerosLike(parameter),
      square: zerosLike(parameter),
    };
    const steps = moments.steps + 1;
    const mean = keep(moments.mean.mul(beta1).add(grad.mul(1 - beta1)));
    const square = keep(moments.square.mul(beta2).add(grad.square().mul(1 - beta2)));
    moments.mean.dispose();
    moments.square.dispose();
    this.#moments.set(name, { steps, mean, square });

    const denominator = square
      .sqrt()
      .div(Math.sqrt(1 - beta2 ** steps))
      .add(eps);
    const step = mean.div(denominator).mul(lr / (1 - beta1 ** steps));
    parameter.assign_(parameter.mul(1 - lr * weightDecay).sub(step));
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const [, parameter] of this.#named()) parameter.zeroGrad();
  }

  /**
   * What a later run needs to go on as if there had been no interruption: `<name>.exp_avg`, `<name>.exp_avg_sq` and
   * `<name>.step`, torch's names. The tensors are the optimizer's own.
   */
  stateDict(): { readonly tensors: Map<string, Tensor>; readonly steps: Record<string, number> } {
    const tensors = new Map<string, Tensor>();
    const steps: Record<string, number> = {};
    for (const [name, moments] of this.#moments) {
      tensors.set(`${name}.exp_avg`, moments.mean);
      tensors.set(`${name}.exp_avg_sq`, moments.square);
      steps[name] = moments.steps;
    }
    return { tensors, steps };
  }

  /**
   * Takes over what {@link stateDict} gave.
   *
   * @throws `weight_mismatch` for a name that is no parameter, a tensor that is missing, or another shape; then nothing
   * has changed.
   */
  loadStateDict(state: { readonly tensors: ReadonlyMap<string, Tensor>; readonly steps: Readonly<Record<string, number>> }): void {
    const parameters = new Map(this.#named());
    const find = (name: string, key: string): Tensor => {
      const parameter = parameters.get(name);
      const value = state.tensors.get(`${name}.${key}`);
      const expected = parameter?.shape.join(", ");
      if (expected === undefined || value?.shape.join(", ") !== expected) {
        const got = value === undefined ? "nothing" : `shape [${value.shape.join(", ")}]`;
        const wanted = expected === undefined ? "no such parameter" : `shape [${expected}]`;
        throw new HooklensError("weight_mismatch", `AdamW state '${name}.${key}': expected ${wanted}, got ${got}`, { name });
      }
      return value;
    };
    const loaded = Object.entries(state.steps).map(
      ([name, steps]) => [name, steps, find(name, "exp_avg"), find(name, "exp_avg_sq")] as const,
    );
    this.dispose();
    for (const [name, steps, mean, square] of loaded) {
      this.#moments.set(name, { steps, mean: keep(mean.clone()), square: keep(square.clone()) });
    }
  }

  /** Frees the running means; the parameters stay. The optimizer starts afresh if it is used again. */
  dispose(): void {
    for (const { mean, square } of this.#moments.values()) {
      mean.dispose();
      square.dispose();
    }
    this.#moments.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
