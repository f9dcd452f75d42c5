import { spawn, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const command = ["--import", "tsx", "ts/cli/main.ts"];
const env = { ...process.env, FORCE_COLOR: "" };

test("as a process: output without escape codes into a pipe, errors on stderr, exit codes", () => {
  const good = spawnSync(process.execPath, [...command, "explain", "And God said", "--no-html"], {
    cwd: root,
    env,
    encoding: "utf8",
  });
  expect(good.stderr).toBe("");
  expect(good.status).toBe(0);
  expect(good.stdout).toContain("Gradient × activation");
  expect(good.stdout).not.toContain("\u001b");

  const bad = spawnSync(process.execPath, [...command, "explain", ""], { cwd: root, env, encoding: "utf8" });
  expect(bad.status).toBe(1);
  expect(bad.stdout).toBe("");
  expect(bad.stderr).toMatch(/^error: .* \(invalid_argument\)\n$/);
});

test("output that cannot be written is one line and exit code 1", () => {
  const full = openSync("/dev/full", "w");
  const { status, stderr } = spawnSync(process.execPath, [...command, "hooks", "builtin:tiny"], {
    cwd: root,
    env,
    encoding: "utf8",
    stdio: ["ignore", full, "pipe"],
  });
  closeSync(full);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^error: the output cannot be written: ENOSPC.* \(ENOSPC\)\n$/);
});

test("a reader that stops early is no error", async () => {
  const child = spawn(process.execPath, [...command, "explain", "And God said", "--json", "--top", "1024"], {
    cwd: root,
    env,
  });
  let errors = "";
  child.stderr.on("data", (data: Buffer) => {
    errors += data.toString();
  });
  child.stdout.destroy();
  const code = await new Promise<number | null>((done) => child.once("exit", done));
  expect(errors).toBe("");
  expect(code).toBe(0);
});
