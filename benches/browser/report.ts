/** The results as JSON and as tables to read. */

import { median } from "../hooks/paired.ts";
import type { Machine } from "../hooks/report.ts";
import { type Quotient, quotient } from "../support/quotients.ts";
import { milliseconds, table } from "../support/table.ts";

/** Times of one program with so many threads, by workload, in milliseconds and in order. */
export interface Runs {
  /** `hooklens`, `onnxruntime-web`, … */
  readonly subject: string;
  /** What it says of itself. */
  readonly about: string;
  readonly threads: number;
  readonly times: Readonly<Record<string, readonly number[]>>;
  /** The largest difference of its logits from those of hooklens in the browser, as a share of the largest logit. */
  readonly difference: number;
}

export interface Measured {
  readonly machine: Machine;
  readonly browser: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Bytes of the engine of pages, compressed. */
  readonly engineBytes: number;
  readonly rounds: number;
  readonly runs: readonly Runs[];
}

interface Goal {
  readonly ours: string;
  /** A program and its workload; ours without. */
  readonly other: string;
  readonly workload: string;
  /** What the quotient may be; none where it is only told. */
  readonly goal?: number;
}

const FUSED = "onnxruntime-web, fused graph";

const COMPARED: readonly Goal[] = [
  { ours: "forward", other: FUSED, workload: "forward", goal: 1 },
  { ours: "forward, float16", other: FUSED, workload: "forward", goal: 1 },
  { ours: "forward", other: "onnxruntime-web, exported graph", workload: "forward" },
  { ours: "forward", other: "transformers.js, fused graph", workload: "forward" },
  { ours: "matmul", other: FUSED, workload: "matmul" },
  { ours: "runWithCache of everything", other: "hooklens", workload: "forward", goal: 1.05 },
  { ours: "a JavaScript hook on every point", other: "hooklens", workload: "forward", goal: 1.05 },
  { ours: "loss and the gradient of every point", other: "hooklens", workload: "forward" },
  { ours: "forward", other: "hooklens in Node", workload: "forward" },
  { ours: "matmul", other: "hooklens in Node", workload: "matmul" },
  {
    ours: "loss and the gradient of every point",
    other: "hooklens in Node",
    workload: "loss and the gradient of every point",
  },
];

interface Comparison extends Goal, Quotient {
  readonly threads: number;
}

/** Quotients of what took turns. */
export function comparisons({ runs }: Measured): Comparison[] {
  const counts = [...new Set(runs.map(({ threads }) => threads))];
  return counts.flatMap((threads) =>
    COMPARED.flatMap((goal): Comparison[] => {
      const find = (subject: string, workload: string) =>
        runs.find((run) => run.subject === subject && run.threads === threads)?.times[workload];
      const [mine, others] = [find("hooklens", goal.ours), find(goal.other, goal.workload)];
      if (mine === undefined || others === undefined) return [];
      return [{ ...goal, threads, ...quotient(mine, others) }];
    }),
  );
}

/** Everything but the single times. */
export function summary(measured: Measured): object {
  const { runs, ...about } = measured;
  return {
    ...about,
    comparisons: comparisons(measured),
    runs: runs.map(({ times, ...run }) => ({
      ...run,
      times: Object.fromEntries(
        Object.entries(times).map(([name, all]) => [name, { median: median(all), least: Math.min(...all) }]),
      ),
    })),
  };
}

/** The results for people. */
export function markdown(measured: Measured): string {
  const { machine, browser, versions, rounds, runs, engineBytes } = measured;
  const { cpu, memoryGB, node, platform, load } = machine;
  const quotients = table(
    ["hooklens in a page", "÷", "threads", "time", "least time", "goal", ""],
    comparisons(measured).map(({ ours, other, workload, threads, goal, ...quotient }) => [
      ours,
      other === "hooklens" ? workload : `${other}: ${workload}`,
      `${threads}`,
      quotient.median.toFixed(2),
      quotient.least.toFixed(2),
      goal === undefined ? "" : `${goal}`,
      goal === undefined ? "" : quotient.median <= goal ? "holds" : "missed",
    ]),
  );
  const all = table(
    ["ms", "threads", "workload", "median", "least"],
    runs.flatMap(({ subject, threads, times }) =>
      Object.entries(times).map(([name, each]) => [
        subject,
        `${threads}`,
        name,
        milliseconds(median(each)),
        milliseconds(Math.min(...each)),
      ]),
    ),
  );
  const same = table(
    ["logits against hooklens in a page", "threads", "largest difference ÷ largest logit"],
    runs.map(({ about, subject, threads, difference }) => [
      `${subject}: ${about}`,
      `${threads}`,
      difference.toExponential(1),
    ]),
  );
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `# In a browser

Written by \`npm run bench:browser\`: GPT-2 small's sizes, 64 positions, random weights, the same for all, in f32 unless it
says otherwise; \`matmul\` is [256, 768] × [768, 3072]. ${cpu}, ${machine.threads} threads, ${memoryGB} GB, ${platform}; ${browser},
headless; ${[`Node ${node}`, ...list].join(", ")}; engine of ${(engineBytes / 1024).toFixed(0)} KiB gzip; ${rounds} rounds; load average
${load} when it began. What is compared took turns; times are the medians of quotients of neighbours. Everything gives
its logits of all positions as a \`Float32Array\`.

The fused graph is what onnxruntime's optimiser for transformers makes: one product for queries, keys and values inside
\`Attention\`, \`SkipLayerNormalization\`, \`FastGelu\` with its bias; its weights are constants, which onnxruntime lays out
once. The exported graph is of standard operators, as exporters write it. Both are loaded with \`graphOptimizationLevel:
"all"\`. One thread is a page as any server gives it, several are a page that is cross-origin isolated.

${quotients}

${all}

${same}
`;
}
