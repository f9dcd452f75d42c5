/**
 * `npm run bench:hooks [-- --quick]`: what hook points, captures, interventions and JavaScript hooks cost, alone and in
 * whole forwards. Writes `benches/results/hooks.json` and `hooks.md`; with `--quick` it only prints.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { measureCore } from "./core.ts";
import { measureCrossings } from "./crossing.ts";
import { measure, subjects } from "./models.ts";
import { machine, markdown, type Report } from "./report.ts";

const quick = process.argv.includes("--quick");
const results = fileURLToPath(new URL("../results", import.meta.url));
const step = (what: string) => console.error(`measuring ${what} …`);

const [load = 0] = loadavg();
step("the engine");
const core = measureCore();
step("JavaScript hooks");
const crossings = measureCrossings(quick ? 101 : 1501);
const models = [];
for (const subject of subjects(quick)) {
  for (const pos of subject.positions) {
    step(`${subject.name}, ${pos} positions`);
    models.push(measure(subject, pos));
  }
  subject.model.dispose();
}
const report: Report = { machine: machine(load), core, crossings, models };
const text = markdown(report);
if (!quick) {
  mkdirSync(results, { recursive: true });
  writeFileSync(`${results}/hooks.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${results}/hooks.md`, text);
}
console.log(text);
