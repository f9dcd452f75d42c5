/** What one call of a JavaScript hook costs, without any model around it. */

import { HookPoint, type Tensor, zeros } from "../../ts/node.ts";
import { differences, interleaved, median, type Timing, timing } from "./paired.ts";

export interface Crossing {
  readonly name: string;
  /** Nanoseconds. */
  readonly ns: Timing;
}

const HOOKS = 64;
/** Few enough that a batch mostly ends before the system gives the core to somebody else. */
const CALLS = 4;

function point(hook: (value: Tensor) => Tensor | null, count: number): HookPoint {
  const made = new HookPoint(["batch", "pos", "d_model"]);
  for (let i = 0; i < count; i++) made.addHook(hook);
  return made;
}

/**
 * A point with many identity hooks against one with a single one: the difference is crossings alone, each with the
 * tensor that its hook sees. The single one's own cost adds the way into the engine and out, which a model pays once a
 * forward and a module of one's own once a point.
 */
export function measureCrossings(rounds: number): Crossing[] {
  const x = zeros([1, 16, 768]);
  const pass = (at: HookPoint) => () => {
    for (let i = 0; i < CALLS; i++) at.forward(x);
  };
  const kinds: readonly [string, (value: Tensor) => Tensor | null][] = [
    ["a hook that gives back what it sees", (value) => value],
    ["a hook that gives nothing back", () => null],
    ["a hook that looks at the shape", (value) => (value.shape.length === 3 ? null : value)],
  ];
  const results = kinds.map(([name, hook]): Crossing => {
    const times = interleaved(
      [
        { name: "many", run: pass(point(hook, HOOKS + 1)) },
        { name: "one", run: pass(point(hook, 1)) },
      ],
      rounds,
    );
    const each = CALLS * HOOKS;
    const least = (which: string) => timing(times.get(which) ?? []).min;
    // Not the least difference, in which a disturbance of the single hook would count as speed of the many.
    const min = (least("many") - least("one")) / each;
    return { name, ns: { median: median(differences(times, "many", "one")) / each, min } };
  });
  const idle = new HookPoint(["batch", "pos", "d_model"]);
  const bare = interleaved(
    [
      { name: "one", run: pass(point((value) => value, 1)) },
      {
        name: "none",
        run: () => {
          for (let i = 0; i < CALLS; i++) idle.forward(x);
        },
      },
    ],
    rounds,
  );
  const whole = (name: string) => timing((bare.get(name) ?? []).map((time) => time / CALLS));
  return [
    ...results,
    { name: "HookPoint.forward with one identity hook", ns: whole("one") },
    { name: "HookPoint.forward without hooks", ns: whole("none") },
  ];
}
