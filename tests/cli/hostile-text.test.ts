// What comes from a model's folder or from a prompt is shown and never obeyed, whatever the command.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { safeText, tokenLabel } from "../../ts/viz/token-label.ts";
import { put, TINY, withCopy } from "../models/folders.ts";
import { runCommand } from "../support/command.ts";

/** Clears the screen in two ways, turns the direction of writing around, ends the line. */
const HOSTILE = "a\u001b[2J\u009b2J\u202eb\u2028c\u{e0001}d";
const OBEYED = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const hooklens = (...args: string[]) =>
  runCommand(args, { isTTY: true, columns: 200, env: { NO_COLOR: "1" }, cwd: "/" });

const config = JSON.parse(readFileSync(join(TINY, "config.json"), "utf8"));

describe("a hostile folder", () => {
  test.each([
    ["info", "info"],
    ["info as data", "info", "--json"],
    ["hooks", "hooks"],
    ["explain", "explain", "--no-html"],
    ["explain as data", "explain", "--json"],
    ["generate", "generate"],
    ["generate as data", "generate", "--json"],
  ])("%s prints nothing that a terminal obeys", (_, command, ...options) =>
    withCopy(async (folder) => {
      put(folder, "config.json", { ...config, _name_or_path: `${HOSTILE}\nerror: no` });
      const model = command === "explain" ? [HOSTILE, "--model", folder] : [folder];
      const prompt = command === "generate" ? [HOSTILE, "-n", "3"] : [];
      const { code, out, err } = await hooklens(command, ...model, ...prompt, ...options);
      expect([code, err]).toEqual([0, ""]);
      expect(out).not.toMatch(OBEYED);
      expect(out).not.toMatch(/^error/m);
      if (options.includes("--json")) JSON.parse(out);
      if (command !== "hooks") expect(out).toMatch(/\\u(\{1b\}|001b)/);
    }),
  );

  test.each([
    ["an architecture", { architectures: [HOSTILE], model_type: HOSTILE }],
    ["an activation", { activation_function: `${HOSTILE}\nerror: no` }],
  ])("%s is named in one safe line, and in a safe stack", (_, change) =>
    withCopy(async (folder) => {
      put(folder, "config.json", { ...config, ...change });
      const { code, out, err } = await hooklens("info", folder);
      expect([code, out]).toEqual([1, ""]);
      expect(err).toMatch(/^error: .*a\\.*\n$/);
      expect(err).not.toMatch(OBEYED);
      const { err: traced } = await hooklens("info", folder, "--debug");
      expect(traced.startsWith(err)).toBe(true);
      expect(traced).toContain("\n    at ");
      expect(traced).not.toMatch(OBEYED);
    }),
  );

  test("arguments are shown safely too", async () => {
    for (const args of [
      [HOSTILE],
      ["info", HOSTILE],
      ["info", `--${HOSTILE}`],
      ["hooks", "builtin:tiny", HOSTILE],
    ]) {
      const { code, err } = await hooklens(...args);
      expect(code).toBe(1);
      expect(err).toMatch(/^error: .*\n$/);
      expect(err).not.toMatch(OBEYED);
    }
  });
});

test("safe text keeps what is harmless", () => {
  const plain = "می‌خواهم 👩‍🚀 é — “x”";
  expect(safeText(plain)).toBe(plain);
  expect(safeText("a\tb\nc\r", { lines: true })).toBe("a\tb\nc\\u{d}");
  expect(safeText("a\tb\nc")).toBe("a\\u{9}b\\u{a}c");
  expect(safeText(HOSTILE)).toBe("a\\u{1b}[2J\\u{9b}2J\\u{202e}b\\u{2028}c\\u{e0001}d");
  expect(tokenLabel("\u200d \n")).toBe("\\u{200d}·⏎");
});
