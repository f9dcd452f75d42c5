/** The results as a table to read. */

import { median } from "../hooks/paired.ts";
import type { Machine } from "../hooks/report.ts";
import { quotient } from "../support/quotients.ts";
import { milliseconds, table } from "../support/table.ts";
import type { Run } from "./peer.ts";

export interface Measured {
  readonly machine: Machine;
  /** Versions of what is compared with, if it ran. */
  readonly peer: string | undefined;
  readonly rounds: number;
  /** In order, by name. */
  readonly runs: Readonly<Record<string, readonly Run[]>>;
}

/** What is compared, and what the quotient may be. */
const GOALS: readonly { ours: string; other: string; goal: number }[] = [
  { ours: "forward 1×128", other: "Hugging Face forward 1×128", goal: 0.6 },
  { ours: "runWithCache of everything 1×128", other: "forward 1×128", goal: 1.1 },
  {
    ours: "loss and the gradient of every point 1×128",
    other: "Hugging Face forward and backward 1×128",
    goal: 0.5,
  },
  { ours: "forward 1×512", other: "Hugging Face forward 1×512", goal: 0.6 },
  { ours: "forward 1×1", other: "Hugging Face forward 1×1", goal: 1 },
];

interface Summary {
  readonly wall: { readonly median: number; readonly min: number };
  readonly cpu: { readonly median: number; readonly min: number };
}

interface Ratio {
  readonly ours: string;
  readonly other: string;
  readonly goal: number;
  /** Medians of the quotients of neighbouring runs. */
  readonly wall: number;
  readonly cpu: number;
  /** The quotient of the least times, which a busy machine disturbs less. */
  readonly least: number;
}

export function ratios({ runs }: Measured): { times: Record<string, Summary>; ratios: Ratio[] } {
  const times = Object.fromEntries(
    Object.entries(runs).map(([name, all]): [string, Summary] => {
      const of = (kind: "wall" | "cpu") => {
        const values = all.map((run) => run[kind]);
        return { median: median(values), min: Math.min(...values) };
      };
      return [name, { wall: of("wall"), cpu: of("cpu") }];
    }),
  );
  const compared = GOALS.flatMap(({ ours, other, goal }): Ratio[] => {
    const [mine, others] = [runs[ours], runs[other]];
    if (mine === undefined || others === undefined) return [];
    const of = (kind: "wall" | "cpu") =>
      quotient(
        mine.map((run) => run[kind]),
        others.map((run) => run[kind]),
      );
    const [wall, cpu] = [of("wall"), of("cpu")];
    return [{ ours, other, goal, wall: wall.median, cpu: cpu.median, least: wall.least }];
  });
  return { times, ratios: compared };
}

/** The results for people. */
export function markdown(measured: Measured): string {
  const { machine, peer, rounds } = measured;
  const { times, ratios: compared } = ratios(measured);
  const { cpu, threads, memoryGB, node, platform, load } = machine;
  const quotients = table(
    ["ours", "÷", "time", "least time", "processor time", "goal"],
    compared.map((r) => [
      r.ours,
      r.other,
      r.wall.toFixed(2),
      r.least.toFixed(2),
      r.cpu.toFixed(2),
      `${r.goal}`,
    ]),
  );
  const all = table(
    ["ms", "median", "least", "processor time, median", "least"],
    Object.entries(times).map(([name, { wall, cpu }]) => [
      name,
      ...[wall.median, wall.min, cpu.median, cpu.min].map(milliseconds),
    ]),
  );
  return `# Forwards against Hugging Face

Written by \`npm run bench:forward\`: GPT-2 small's sizes, random weights, f32. ${cpu}, ${threads} threads, ${memoryGB} GB,
${platform}, Node ${node}, ${peer ?? "without a peer"}; ${rounds} rounds; load average ${load} when it began. What is
compared took turns. Processor time adds up all threads: on a busy machine it says more than the clock. Hugging Face's
backward computes the gradients of all weights, ours those of all hook points.

${quotients}

${all}
`;
}
