/** hooklens in a process of Node, on the native engine: reads a workload a line, answers with milliseconds of wall and of processor time. */

import { createInterface } from "node:readline";
import { HookedTransformer, initEngine, randn, tidy } from "../../ts/node.ts";
import { hooklens } from "./workloads.ts";

const [, , folder = ""] = process.argv;
const { name, version } = await initEngine();
const about = `hooklens ${version} (${name}, ${process.env["RAYON_NUM_THREADS"]} thread(s))`;
const subject = await hooklens({ HookedTransformer, randn, tidy }, about, folder);
console.log(about);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "sample") {
    console.log((await subject.sample()).join(" "));
    continue;
  }
  const before = process.cpuUsage();
  const wall = await subject.run(line);
  const { user, system } = process.cpuUsage(before);
  console.log(wall, (user + system) / 1e3);
}
