// Models that are forgotten with hooks attached, in a process of their own where garbage can be collected at will.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

test("models that are forgotten with hooks attached are collected, graphs that are alive keep their hooks", () => {
  const program = join(import.meta.dirname, "dropped-roots.ts");
  const root = join(import.meta.dirname, "../..");
  const args = ["--expose-gc", "--import", "tsx", program];
  const report = JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }));
  expect(report).toEqual({
    "never run": true,
    "run forward": true,
    "graph forgotten": true,
    "run backward": true,
    "a single point": true,
    "a transformer": true,
    "a transformer run backward": true,
    "kept by its graph": true,
    fired: ["hook_mid", "hook_mid"],
    gradient: [8, 8],
    "gone with its graph": true,
    "tensors left": 0,
  });
});
