/**
 * What all optimizers share: groups of parameters with settings of their own, a state for each parameter, saving and
 * loading it. An optimizer itself is one formula: see {@link Optimizer.update}.
 */

import { HooklensError } from "../engine/errors.ts";
import { requireIterable, requireObject, requireTensor } from "../tensor/arguments.ts";
import { describe, isTensor } from "../tensor/base.ts";
import { noGrad } from "../tensor/gradients.ts";
import { keep, tidy } from "../tensor/memory.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** A parameter with its name, as `namedParameters()` gives them. */
export type NamedParameter = readonly [name: string, parameter: Tensor];

/** Parameters with settings of their own; what is left out is as for the whole optimizer. */
export type ParameterGroup<Options> = Options & {
  /** The group's parameters. */
  readonly parameters: Iterable<NamedParameter> | Iterable<Tensor>;
};

/** The parameters to train: as `parameters()` or `namedParameters()` give them, or in groups. */
export type Trained<Options> =
  | Iterable<Tensor>
  | Iterable<NamedParameter>
  | Iterable<ParameterGroup<Options>>;

/** What an optimizer remembers of each parameter. */
export type Slots = Readonly<Record<string, Tensor>>;

/** What one step makes of a parameter. */
export interface ParameterUpdate {
  /** Its new value. */
  readonly value: Tensor;
  /** What to remember for the next step. */
  readonly slots: Slots;
}

/** The state of an optimizer, to be saved beside the parameters. */
export interface OptimizerState {
  /** By `<parameter>.<slot>`, with torch's names of slots. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Steps that each parameter has taken. */
  readonly steps: Readonly<Record<string, number>>;
}

/** What the settings of every optimizer have. */
export interface LearningRate {
  /** The learning rate. */
  readonly lr: number;
}

interface Group<Settings> {
  settings: Settings;
  readonly parameters: readonly NamedParameter[];
}

/** Updates parameters from their gradients. */
export abstract class Optimizer<Options, Settings extends LearningRate> implements Disposable {
  readonly #name: string;
  readonly #groups: readonly Group<Settings>[];
  readonly #state = new Map<string, { readonly steps: number; readonly slots: Slots }>();

  /**
   * @param name The optimizer's, for messages.
   * @param check Fills in the defaults; throws for settings out of range.
   */
  protected constructor(
    name: string,
    trained: Trained<Options>,
    options: Options,
    check: (options: Options) => Settings,
  ) {
    this.#name = name;
    requireIterable(name, "a list of parameters", trained);
    const single: NamedParameter[] = [];
    const groups: Group<Settings>[] = [];
    let count = 0;
    // Without names, parameters are told apart by their place.
    const named = (item: Tensor | NamedParameter): NamedParameter => {
      if (isTensor(item)) return [String(count++), item];
      const [first, second]: readonly unknown[] = Array.isArray(item) ? item : [];
      if (typeof first === "string" && isTensor(second)) return [first, second];
      throw this.#invalid(`expected a parameter or [name, parameter], got ${describe(item)}`);
    };
    for (const item of trained) {
      if (isTensor(item)) single.push(named(item));
      else if (Array.isArray(item)) single.push(named(item as unknown as NamedParameter));
      else {
        requireObject(name, "parameters or groups { parameters, … }", item);
        const group = item as ParameterGroup<Options>;
        const { parameters: _, ...own } = group as ParameterGroup<object>;
        requireIterable(`${name}: a group`, "a list of its parameters", group.parameters);
        groups.push({
          settings: check({ ...options, ...own }),
          parameters: Array.from<Tensor | NamedParameter, NamedParameter>(group.parameters, named),
        });
      }
    }
    if (single.length > 0 || groups.length === 0) {
      groups.push({ settings: check(options), parameters: single });
    }
    this.#groups = groups;
    this.#checkParameters();
  }

  #checkParameters(): void {
    const names = new Set<string>();
    const seen = new Set<Tensor>();
    for (const [name, parameter] of this.#named()) {
      if (names.has(name) || seen.has(parameter)) throw this.#invalid(`'${name}' is there twice`);
      seen.add(parameter);
      if (!parameter.requiresGrad || !parameter.isLeaf) {
        throw this.#invalid(`'${name}' is not a parameter; make it with parameter()`);
      }
      names.add(name);
    }
    if (names.size === 0) throw this.#invalid("there are no parameters");
  }

  #invalid(message: string): HooklensError {
    return new HooklensError("invalid_argument", `${this.#name}: ${message}`);
  }

  *#named(): Generator<NamedParameter> {
    for (const group of this.#groups) yield* group.parameters;
  }

  /** Learning rate of the first group; assigning sets it for all groups. */
  get lr(): number {
    return this.#groups[0]?.settings.lr ?? 0;
  }

  /** Sets the learning rate of all groups. Below 0 or NaN throws `invalid_argument`. */
  set lr(lr: number) {
    if (!(lr >= 0)) throw this.#invalid(`lr must be 0 or more, got ${lr}`);
    for (const group of this.#groups) group.settings = { ...group.settings, lr };
  }

  /** One step along the gradients. Parameters without one stay as they are. */
  step(): void {
    noGrad(() => {
      for (const { settings, parameters } of this.#groups) {
        for (const [name, parameter] of parameters) tidy(() => this.#step(settings, name, parameter));
      }
    });
  }

  #step(settings: Settings, name: string, parameter: Tensor): void {
    const { grad } = parameter;
    if (grad === null) return;
    const before = this.#state.get(name);
    const steps = (before?.steps ?? 0) + 1;
    const { value, slots } = this.update(parameter, grad, settings, before?.slots ?? {}, steps);
    parameter.assign_(value);
    for (const slot of Object.values(slots)) keep(slot);
    this.#state.set(name, { steps, slots });
    for (const slot of Object.values(before?.slots ?? {})) slot.dispose();
  }

  /**
   * The formula: the parameter's new value and what to remember, all new tensors.
   *
   * @param slots What the last step gave; empty on the first.
   * @param steps The number of this step, from 1.
   */
  protected abstract update(
    parameter: Tensor,
    grad: Tensor,
    settings: Settings,
    slots: Slots,
    steps: number,
  ): ParameterUpdate;

  /** The slots that a parameter with these settings has after its first step. */
  protected abstract slotNames(settings: Settings): readonly string[];

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const [, parameter] of this.#named()) parameter.zeroGrad();
  }

  /** What a later run needs to go on as if there had been no interruption. The tensors are the optimizer's own. */
  stateDict(): OptimizerState {
    const tensors = new Map<string, Tensor>();
    const steps: Record<string, number> = {};
    for (const [name, state] of this.#state) {
      for (const [slot, tensor] of Object.entries(state.slots)) tensors.set(`${name}.${slot}`, tensor);
      steps[name] = state.steps;
    }
    return { tensors, steps };
  }

  /**
   * Takes over what {@link stateDict} gave.
   *
   * @throws `weight_mismatch` for a name that is no parameter, a tensor that is missing, or another shape; then nothing
   * has changed.
   */
  loadStateDict(state: OptimizerState): void {
    const form = "what stateDict() gave";
    requireObject("loadStateDict", form, state);
    requireObject("loadStateDict: steps", `the numbers of steps in ${form}`, state.steps);
    if (!(state.tensors instanceof Map)) throw this.#invalid(`loadStateDict: tensors: expected a Map`);
    const found = Object.entries(state.steps).map(([name, steps]) => {
      const slots = this.#slotNamesOf(name).map((slot) => [slot, this.#saved(state, name, slot)] as const);
      return { name, steps, slots };
    });
    this.dispose();
    for (const { name, steps, slots } of found) {
      const copies = slots.map(([slot, value]) => [slot, keep(noGrad(() => value.clone()))] as const);
      this.#state.set(name, { steps, slots: Object.fromEntries(copies) });
    }
  }

  #slotNamesOf(name: string): readonly string[] {
    const group = this.#groups.find(({ parameters }) => parameters.some(([other]) => other === name));
    if (group) return this.slotNames(group.settings);
    throw this.#mismatch(name, `there is no such parameter`);
  }

  #saved(state: OptimizerState, name: string, slot: string): Tensor {
    const value = state.tensors.get(`${name}.${slot}`);
    if (value !== undefined) requireTensor(value);
    const wanted = new Map(this.#named()).get(name)?.shape.join(", ");
    if (value !== undefined && value.shape.join(", ") === wanted) return value;
    const got = value === undefined ? "nothing" : `shape [${value.shape.join(", ")}]`;
    throw this.#mismatch(`${name}.${slot}`, `expected shape [${wanted}], got ${got}`);
  }

  #mismatch(name: string, detail: string): HooklensError {
    return new HooklensError("weight_mismatch", `${this.#name} state '${name}': ${detail}`, { name });
  }

  /** Frees the state; the parameters stay. The optimizer starts afresh if it is used again. */
  dispose(): void {
    for (const { slots } of this.#state.values()) for (const slot of Object.values(slots)) slot.dispose();
    this.#state.clear();
  }

  /** {@link dispose}, so that `using optimizer = …` frees its state. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Throws `invalid_argument` unless a setting is in range. */
export function requireSetting(optimizer: string, ok: boolean, what: string, got: unknown): void {
  if (!ok) throw new HooklensError("invalid_argument", `${optimizer}: ${what}, got ${String(got)}`);
}
