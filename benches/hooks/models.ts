/** What hooks cost in whole forwards. */

import {
  type AddHookOptions,
  type Hook,
  HookedTransformer,
  type HookPoint,
  scale,
  type Tensor,
  tidy,
} from "../../ts/node.ts";
import { DEMO, GPT2_SMALL } from "../sizes.ts";
import { type Candidate, differences, interleaved, median, type Timing, timing } from "./paired.ts";

/** A model to measure, and on what. */
export interface Subject {
  readonly name: string;
  readonly model: HookedTransformer;
  /** Lengths of prompts. */
  readonly positions: readonly number[];
  readonly rounds: number;
}

/** Times of one forward with so many positions, in milliseconds, and costs per point, in nanoseconds. */
export interface ModelResult {
  readonly model: string;
  readonly pos: number;
  readonly points: number;
  readonly rounds: number;
  /** Milliseconds of a whole forward, by what was attached. */
  readonly forwards: Readonly<Record<string, Timing>>;
  /** Milliseconds that each takes longer than a plain forward, as the median of paired differences. */
  readonly over: Readonly<Record<string, number>>;
  /**
   * Nanoseconds of one more hook at a point that has one already, by kind: from paired differences, and from the least
   * times of each, which a busy machine disturbs less.
   */
  readonly marginal: Readonly<Record<string, Timing>>;
}

/** How often a hook is attached to each point to find the cost of one more. */
const MANY = 11;

const RESIDUAL = /\.hook_resid_(pre|mid|post)$/;

const identity = (value: Tensor): Tensor => value;

/** Attaches hooks before a run and removes them after, both untimed. */
function attaching(points: readonly HookPoint[], hook: Hook, count: number, options: AddHookOptions = {}) {
  let handles: { remove(): void }[] = [];
  return {
    prepare: () => {
      handles = points.flatMap((point) => Array.from({ length: count }, () => point.addHook(hook, options)));
    },
    clean: () => {
      for (const handle of handles) handle.remove();
    },
  };
}

/** Attaches captures of every default point, each `count` times, untimed. */
function capturing(model: HookedTransformer, count: number) {
  let end = () => {};
  return {
    prepare: () => {
      const made = Array.from({ length: count }, () => model.getCachingHooks());
      const handles = made.flatMap(([, hooks]) => hooks.map(([point, capture]) => point.addHook(capture)));
      end = () => {
        for (const handle of handles) handle.remove();
        for (const [cache] of made) cache.clear();
      };
    },
    clean: () => end(),
  };
}

function prompt({ cfg }: HookedTransformer, pos: number): number[][] {
  return [Array.from({ length: pos }, (_, i) => (i * 7919 + 13) % cfg.d_vocab)];
}

/** Measures one model at one length. */
export function measure({ name, model, rounds }: Subject, pos: number): ModelResult {
  const ids = prompt(model, pos);
  const points = [...model.hookDict.values()].filter((point) => point.isDefault);
  const residual = [...model.hookDict].flatMap(([at, point]) => (RESIDUAL.test(at) ? [point] : []));
  const run = () => {
    tidy(() => {
      model.forward(ids);
    });
  };
  const candidates: Candidate[] = [
    { name: "plain", run },
    { name: "capture everywhere", run, ...capturing(model, 1) },
    {
      name: "runWithCache of everything",
      run: () => {
        tidy(() => {
          const [, cache] = model.runWithCache(ids);
          cache.clear();
        });
      },
    },
    { name: "identity hook everywhere", run, ...attaching(points, identity, 1) },
    { name: "intervention on the residual stream", run, ...attaching(residual, scale(1.001), 1) },
    { name: "many captures", run, ...capturing(model, MANY) },
    { name: "many identity hooks", run, ...attaching(points, identity, MANY) },
    { name: "many interventions", run, ...attaching(residual, scale(1.001), MANY) },
  ];
  const times = interleaved(candidates, rounds);
  const ms = (value: number) => value / 1e6;
  const shown = candidates.filter((candidate) => !candidate.name.startsWith("many"));
  const least = (name: string) => timing(times.get(name) ?? []).min;
  const marginal = (many: string, one: string, at: number): Timing => ({
    median: median(differences(times, many, one)) / (at * (MANY - 1)),
    min: (least(many) - least(one)) / (at * (MANY - 1)),
  });
  return {
    model: name,
    pos,
    points: points.length,
    rounds,
    forwards: Object.fromEntries(
      shown.map(({ name }) => {
        const { median, min } = timing(times.get(name) ?? []);
        return [name, { median: ms(median), min: ms(min) }];
      }),
    ),
    over: Object.fromEntries(
      shown.slice(1).map(({ name }) => [name, ms(median(differences(times, name, "plain")))]),
    ),
    marginal: {
      capture: marginal("many captures", "capture everywhere", points.length),
      "identity hook": marginal("many identity hooks", "identity hook everywhere", points.length),
      "intervention, with its arithmetic": marginal(
        "many interventions",
        "intervention on the residual stream",
        residual.length,
      ),
    },
  };
}

/** Models of the demo's sizes and of GPT-2 small's. What weights they have makes no difference to the time. */
export function subjects(quick: boolean): Subject[] {
  const demo = HookedTransformer.fromConfig(DEMO);
  const gpt2 = HookedTransformer.fromConfig(GPT2_SMALL);
  return [
    { name: "demo model's sizes", model: demo, positions: [16, 128], rounds: quick ? 11 : 101 },
    { name: "GPT-2 small's sizes", model: gpt2, positions: [16, 128], rounds: quick ? 5 : 25 },
  ];
}
