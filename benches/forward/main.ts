/**
 * `npm run bench:forward [-- --quick]`: forwards, caching and gradients at GPT-2 small's sizes against Hugging Face's
 * model on torch, in turns. Writes `benches/results/forward.json` and `forward.md`; with `--quick` it only prints.
 *
 * `HOOKLENS_PEERS_PYTHON` names a Python that has torch and transformers; otherwise they are installed into an
 * environment of their own. `BENCH_THREADS` sets the number of threads of both sides, by default 2.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { machine } from "../hooks/report.ts";
import { GPT2_SMALL } from "../sizes.ts";
import { type Run, startPeer } from "./peer.ts";
import { type Measured, markdown, ratios } from "./report.ts";

const threads = Number(process.env["BENCH_THREADS"] ?? Math.min(2, availableParallelism()));
// Read when the engine is loaded.
process.env["RAYON_NUM_THREADS"] = `${threads}`;
const { HookedTransformer, tidy } = await import("../../ts/node.ts");

const quick = process.argv.includes("--quick");
const rounds = quick ? 5 : 25;
const large = HookedTransformer.fromConfig(GPT2_SMALL);
const tiny = await HookedTransformer.fromPretrained("builtin:tiny");

function tokens(pos: number, vocabulary: number): number[][] {
  return [Array.from({ length: pos }, (_, i) => (i * 7919 + 13) % vocabulary)];
}

function timed(run: () => void): Run {
  const [cpu, wall] = [process.cpuUsage(), process.hrtime.bigint()];
  tidy(run);
  const elapsed = Number(process.hrtime.bigint() - wall) / 1e6;
  const { user, system } = process.cpuUsage(cpu);
  return { wall: elapsed, cpu: (user + system) / 1e3 };
}

const forward = (model: typeof large, pos: number) => {
  const ids = tokens(pos, model.cfg.d_vocab);
  return () =>
    timed(() => {
      model.forward(ids);
    });
};
const ids = tokens(128, large.cfg.d_vocab);
const ours = new Map<string, () => Run>([
  ["forward 1×128", forward(large, 128)],
  [
    "runWithCache of everything 1×128",
    () =>
      timed(() => {
        large.runWithCache(ids)[1].clear();
      }),
  ],
  [
    "loss and the gradient of every point 1×128",
    () =>
      timed(() => {
        large.runWithCache(ids, { returnType: "loss", inclBwd: true })[1].clear();
      }),
  ],
  ["forward 1×512", forward(large, 512)],
  ["forward 1×1", forward(large, 1)],
  ["forward of builtin:tiny 1×16", forward(tiny, 16)],
]);
const theirs: readonly [name: string, workload: string, pos: number][] = [
  ["Hugging Face forward 1×128", "forward", 128],
  ["Hugging Face forward and backward 1×128", "gradients", 128],
  ["Hugging Face forward 1×512", "forward", 512],
  ["Hugging Face forward 1×1", "forward", 1],
];

const [load = 0] = loadavg();
const peer = await startPeer(threads);
const runs = new Map<string, Run[]>();
// The first two rounds warm caches and compilers, and are forgotten.
for (let round = -2; round < rounds; round++) {
  const keep = (name: string, run: Run) => {
    if (round >= 0) runs.set(name, [...(runs.get(name) ?? []), run]);
  };
  for (const [name, run] of ours) keep(name, run());
  if (peer === undefined) continue;
  for (const [name, workload, pos] of theirs) keep(name, await peer.run(workload, pos));
}
peer?.end();

const measured: Measured = {
  machine: { ...machine(load), threads },
  peer: peer?.version,
  rounds,
  runs: Object.fromEntries(runs),
};
const text = markdown(measured);
if (!quick) {
  const results = fileURLToPath(new URL("../results", import.meta.url));
  mkdirSync(results, { recursive: true });
  const { runs: _, ...about } = measured;
  writeFileSync(`${results}/forward.json`, `${JSON.stringify({ ...about, ...ratios(measured) }, null, 2)}\n`);
  writeFileSync(`${results}/forward.md`, text);
}
console.log(text);
