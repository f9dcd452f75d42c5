// The examples start as the README says that they do: from a checkout, each in a process of its own.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [, command = "", path = ""] =
  /^npx (tsx) (examples\/[\w-]+\.ts)$/m.exec(readFileSync(`${root}/README.md`, "utf8")) ?? [];

test("the README's command runs an example from the checkout", () => {
  expect(command).toBe("tsx");
  const { status, stdout, stderr } = spawnSync("npx", ["--no-install", command, path], {
    cwd: root,
    encoding: "utf8",
  });
  expect(stderr.replaceAll(/^npm (warn|notice).*\n/gm, "")).toBe("");
  expect(status).toBe(0);
  expect(stdout.split("\n").length).toBeGreaterThan(2);
});
