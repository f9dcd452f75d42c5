import { execFileSync } from "node:child_process";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { engineInfo } from "../../ts/engine/current.ts";

/** Plain JavaScript over the bare addon, so that it runs in a worker without the test runner's loader. */
const WORK = `
  const { parentPort, workerData } = require("node:worker_threads");
  const native = require(workerData.source);
  const op = (name) => native.ops().findIndex((spec) => spec.name === name);
  const [exp, neg] = [op("exp"), op("neg")];
  let calls = 0;
  native.setTrampoline((callback, backward, name, value) => {
    calls++;
    if (callback !== workerData.id) throw new Error("a hook of another thread");
    return native.call(neg, [value], [])[0];
  });
  const registry = native.createRegistry([{ name: "p" + workerData.id, axes: [], default: true }]);
  registry.add(0, "fwd", { kind: "callback", callback: workerData.id }, {});
  let sum = 0;
  for (let i = 0; i < 2000; i++) {
    const x = native.fromBits(new Float32Array(1000).fill(workerData.id), "float32", [1000], "cpu");
    const [y] = native.call(exp, [registry.fire(0, x)], []);
    sum += y.toBits()[999];
    if (i % 500 === 0) native.setGradEnabled(workerData.id % 2 === 0);
  }
  const tracked = native.call(exp, [native.fromBits(new Float32Array(1), "float32", [1], "cpu").requiringGrad()], [])[0].requiresGrad;
  parentPort.postMessage({ sum: sum / 2000, calls, tracked, live: native.liveTensors() });
`;

interface Report {
  sum: number;
  calls: number;
  tracked: boolean;
  live: number;
}

function work(id: number): Promise<Report> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(WORK, { eval: true, workerData: { id, source: engineInfo().source } });
    let report: Report;
    worker.on("message", (message) => {
      report = message;
    });
    worker.on("error", reject);
    worker.on("exit", () => resolve(report));
  });
}

test("worker threads use the addon side by side, each with its own hooks and settings", async () => {
  const ids = [1, 2, 3, 4];
  const reports = await Promise.all(ids.map(work));
  for (const [i, id] of ids.entries()) {
    expect(reports[i]?.sum).toBeCloseTo(Math.exp(-id), 5);
    expect(reports[i]).toMatchObject({ calls: 2000, tracked: id % 2 === 0 });
    // Those of other threads do not count.
    expect(reports[i]?.live).toBeLessThanOrEqual(6100);
  }
});

test("a worker that is terminated in the middle leaves the process alive", async () => {
  const endless = WORK.replace("i < 2000", "true");
  const worker = new Worker(endless, { eval: true, workerData: { id: 9, source: engineInfo().source } });
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(await worker.terminate()).toBe(1);
  expect((await work(1)).calls).toBe(2000);
});

test("a process that exits while it holds tensors and hooks exits cleanly", () => {
  const script = `
    const native = require(${JSON.stringify(engineInfo().source)});
    native.setTrampoline(() => null);
    globalThis.registry = native.createRegistry([{ name: "p", axes: [], default: true }]);
    registry.add(0, "bwd", { kind: "callback", callback: 1 }, {});
    globalThis.kept = [];
    for (let i = 0; i < 1000; i++) {
      const x = native.fromBits(new Float32Array(100), "float32", [100], "cpu").requiringGrad();
      kept.push(registry.fire(0, x));
    }
    console.log("done");
  `;
  expect(execFileSync(process.execPath, ["-e", script], { encoding: "utf8" })).toBe("done\n");
});
