/**
 * `npm run bench:browser [-- --quick]`: forwards, caching, hooks and gradients of the engine of pages in headless Chromium,
 * against onnxruntime-web and transformers.js in the same browser and against the native engine in Node, in turns. Writes
 * `benches/results/browser.json` and `browser.md`; with `--quick` it only prints.
 *
 * `HOOKLENS_PEERS_PYTHON` names a Python that has `onnx`; otherwise that is installed into an environment of its own.
 * `BENCH_THREADS` sets the number of threads of the second part, by default as many as there are, at most 4.
 */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { type Browser, chromium } from "playwright-core";
import { build } from "vite";
import { CHROMIUM_FLAGS, chromiumPath } from "../../scripts/chromium.mjs";
import { machine } from "../hooks/report.ts";
import { GPT2_SMALL } from "../sizes.ts";
import { installPeers, makeModel, type Peers } from "./peers.ts";
import { type Measured, markdown, type Runs, summary } from "./report.ts";
import { type Server, serve } from "./serve.ts";
import { openPage, type Running, startNative } from "./subjects.ts";
import { OURS, SHARED } from "./workloads.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const quick = process.argv.includes("--quick");
const rounds = quick ? 3 : 11;
const several = Number(process.env["BENCH_THREADS"] ?? Math.min(4, availableParallelism()));
const wasm = path("../../wasm");
const step = (what: string) => console.error(`${what} …`);

/** Logits may differ by so much of the largest: sums in another order. */
const TOLERANCE = 1e-3;

/** The pages' scripts, as a user's bundler makes them. */
async function buildPages(outDir: string): Promise<void> {
  await build({
    root: path("pages"),
    configFile: false,
    logLevel: "warn",
    base: "./",
    worker: { format: "es" },
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2022",
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rolldownOptions: {
        input: ["hooklens", "onnxruntime", "transformers"].map((name) => path(`pages/${name}.ts`)),
        preserveEntrySignatures: false,
        output: { entryFileNames: "[name].js" },
      },
    },
  });
}

/** What takes turns with so many threads, by name. */
async function subjects(
  browser: Browser,
  server: Server,
  peers: Peers | undefined,
  model: string,
  threads: number,
): Promise<Map<string, Running>> {
  const found = new Map<string, Running>();
  const isolated = threads > 1;
  const open = async (name: string, script: string, parameters: Record<string, string> = {}) => {
    step(`loading ${name}, ${threads} thread(s)`);
    const all = { ...parameters, threads: `${threads}`, vocabulary: `${GPT2_SMALL.d_vocab}` };
    found.set(name, await openPage(browser, server.page(script, isolated, all)));
  };
  // Without a threaded engine a page of ours has one thread, whatever the page may do.
  if (!isolated || existsSync(`${wasm}/threads`)) await open("hooklens", "hooklens");
  if (peers !== undefined) {
    await open("onnxruntime-web, fused graph", "onnxruntime", { graph: "model" });
    await open("onnxruntime-web, exported graph", "onnxruntime", { graph: "exported" });
    const runtime = `peers/${peers.runtime}/dist/`;
    await open("transformers.js, fused graph", "transformers", { runtime });
  }
  step(`loading hooklens in Node, ${threads} thread(s)`);
  const native = await startNative(model, threads);
  if (native !== undefined) found.set("hooklens in Node", native);
  return found;
}

function difference(sample: readonly number[], expected: readonly number[]): number {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (sample.length !== expected.length) return Number.NaN;
  return sample.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? 0))), 0) / largest;
}

/** Which workloads a program has. */
function workloadsOf(name: string): readonly string[] {
  if (name.startsWith("hooklens")) return [...SHARED, ...OURS];
  return name.startsWith("transformers") ? ["forward"] : SHARED;
}

let expected: readonly number[] | undefined;

async function measure(found: ReadonlyMap<string, Running>, threads: number): Promise<Runs[]> {
  const times = new Map<string, Map<string, number[]>>();
  const differences = new Map<string, number>();
  for (const [name, subject] of found) {
    const sample = await subject.sample();
    expected ??= sample;
    const apart = difference(sample, expected);
    if (!(apart < TOLERANCE)) throw new Error(`${name} computes something else: logits differ by ${apart}`);
    differences.set(name, apart);
  }
  const workloads = [...SHARED, ...OURS];
  // The first two rounds warm caches and compilers, and are forgotten.
  for (let round = -2; round < rounds; round++) {
    step(`${threads} thread(s), round ${round}`);
    for (const workload of workloads) {
      for (const [name, subject] of found) {
        if (!workloadsOf(name).includes(workload)) continue;
        const time = await subject.run(workload);
        if (round < 0) continue;
        const own = times.get(name) ?? new Map<string, number[]>();
        times.set(name, own.set(workload, [...(own.get(workload) ?? []), time]));
      }
    }
  }
  return [...found].map(([subject, { about }]) => ({
    subject,
    about,
    threads,
    times: Object.fromEntries(times.get(subject) ?? []),
    difference: differences.get(subject) ?? Number.NaN,
  }));
}

const executablePath = chromiumPath();
if (!existsSync(`${wasm}/hooklens_bg.wasm`)) throw new Error("build the engine first: npm run build:wasm");
const model = makeModel();
if (model === undefined) throw new Error("without a model there is nothing to run");
const peers = installPeers();
const pages = path("../../.cache/bench-pages");
step("building pages");
await buildPages(pages);
const server = await serve({ pages, model, ...(peers === undefined ? {} : { peers: peers.folder }) });
const browser = await chromium.launch({
  args: [...CHROMIUM_FLAGS],
  ...(executablePath === undefined ? {} : { executablePath }),
});
const [load = 0] = loadavg();
const runs: Runs[] = [];
try {
  for (const threads of new Set([1, several])) {
    const found = await subjects(browser, server, peers, model, threads);
    runs.push(...(await measure(found, threads)));
    for (const subject of found.values()) await subject.close();
  }
} finally {
  await browser.close();
  server.close();
}
const measured: Measured = {
  machine: machine(load),
  browser: `Chromium ${browser.version()}`,
  versions: peers?.versions ?? {},
  engineBytes: gzipSync(readFileSync(`${wasm}/hooklens_bg.wasm`), { level: 9 }).length,
  rounds,
  runs,
};
const text = markdown(measured);
if (!quick) {
  mkdirSync(path("../results"), { recursive: true });
  writeFileSync(path("../results/browser.json"), `${JSON.stringify(summary(measured), null, 2)}\n`);
  writeFileSync(path("../results/browser.md"), text);
}
console.log(text);
