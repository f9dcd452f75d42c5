/** hooklens in a process of Node, on the native engine: reads a workload a line, answers with milliseconds. */

import { createInterface } from "node:readline";
import { HookedTransformer, initEngine, randn, tidy } from "../../ts/node.ts";
import { hooklens } from "./workloads.ts";

const [, , folder = ""] = process.argv;
const { name, version } = await initEngine();
const about = `hooklens ${version} (${name}, ${process.env["RAYON_NUM_THREADS"]} thread(s))`;
const subject = await hooklens({ HookedTransformer, randn, tidy }, about, folder);
console.log(about);
for await (const line of createInterface({ input: process.stdin })) {
  console.log(line === "sample" ? (await subject.sample()).join(" ") : await subject.run(line));
}
