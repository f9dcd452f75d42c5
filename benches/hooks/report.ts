/** The results as JSON and as a table to read. */

import { cpus, totalmem } from "node:os";
import { table } from "../support/table.ts";
import type { CoreResult } from "./core.ts";
import type { Crossing } from "./crossing.ts";
import type { ModelResult } from "./models.ts";

/** Where it was measured. */
export interface Machine {
  readonly cpu: string;
  readonly threads: number;
  readonly memoryGB: number;
  readonly node: string;
  readonly platform: string;
  /** Processes that wanted a core when the run began, averaged over a minute: over `threads`, the machine was busy. */
  readonly load: number;
}

export interface Report {
  readonly machine: Machine;
  readonly core: readonly CoreResult[];
  readonly crossings: readonly Crossing[];
  readonly models: readonly ModelResult[];
}

/** A JS identity hook may take so many nanoseconds a crossing. */
const CROSSING_LIMIT = 1500;

export function machine(load: number): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model ?? "unknown",
    threads: all.length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    load: Math.round(load * 10) / 10,
  };
}

const fixed = (value: number, digits = 0) => value.toFixed(digits);
const verdict = (holds: boolean) => (holds ? "holds" : "missed");

function coreTable(results: readonly CoreResult[]): string {
  return table(
    ["engine", "shape", "ns", "over its arithmetic, ns", "goal, ns", ""],
    results.map(({ name, shape, tracked, ns, over, limit, holds }) => [
      tracked === true ? `${name}, tracked` : name,
      shape.join("×"),
      fixed(ns, ns < 100 ? 1 : 0),
      over === undefined ? "" : fixed(over),
      fixed(limit),
      verdict(holds),
    ]),
  );
}

function crossingTable(crossings: readonly Crossing[]): string {
  return table(
    ["JavaScript", "median, ns", "least, ns", "goal, ns", ""],
    crossings.map(({ name, ns }) => {
      const goal = name.startsWith("a hook");
      return [
        name,
        fixed(ns.median),
        fixed(ns.min),
        goal ? fixed(CROSSING_LIMIT) : "",
        goal ? verdict(ns.median <= CROSSING_LIMIT) : "",
      ];
    }),
  );
}

function modelTables(results: readonly ModelResult[]): string {
  const forwards = table(
    ["forward", "model", "positions", "median, ms", "least, ms", "over plain, ms"],
    results.flatMap(({ model, pos, forwards, over }) =>
      Object.entries(forwards).map(([name, { median, min }]) => {
        const more = over[name];
        return [
          name,
          model,
          `${pos}`,
          fixed(median, 2),
          fixed(min, 2),
          more === undefined ? "" : fixed(more, 2),
        ];
      }),
    ),
  );
  const marginal = table(
    ["one more hook at a point", "model", "positions", "median, ns", "of least times, ns"],
    results.flatMap(({ model, pos, marginal }) =>
      Object.entries(marginal).map(([name, ns]) => [name, model, `${pos}`, fixed(ns.median), fixed(ns.min)]),
    ),
  );
  return `${forwards}\n\n${marginal}`;
}

/** The results for people. */
export function markdown({ machine, core, crossings, models }: Report): string {
  const { cpu, threads, memoryGB, node, platform, load } = machine;
  return `# What hooks cost

Written by \`npm run bench:hooks\`. ${cpu}, ${threads} threads, ${memoryGB} GB, ${platform}, Node ${node}; load average
${load} when it began. What is compared took turns, so that a busy machine slowed both; differences are medians of
differences between neighbours.

${coreTable(core)}

${crossingTable(crossings)}

Looking at a point can change how its value is computed: attention and norms run as one operation each while nobody
looks inside. The time over a plain forward holds that too; the second table has the hooks alone.

${modelTables(models)}
`;
}
