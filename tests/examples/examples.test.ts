// Every program in examples/ runs and says something, and stays short enough to be read at once.

import { readdirSync, readFileSync } from "node:fs";
import { afterEach, expect, test, vi } from "vitest";

const folder = new URL("../../examples/", import.meta.url);
const programs = readdirSync(folder).filter((name) => name.endsWith(".ts"));

afterEach(() => {
  vi.restoreAllMocks();
});

test("there are examples", () => {
  expect(programs.length).toBeGreaterThan(3);
});

/** Examples that show in comments what they print. */
const SHOWN = new Set(["find-induction-heads.ts", "patch-activations.ts", "attribute-logits.ts"]);

/** A line without its numbers, whose last digit may differ from machine to machine. */
function shape(line: string): string {
  return line
    .replaceAll(/-?\d+(\.\d+)?/g, "#")
    .replaceAll(/\s+/g, " ")
    .trim();
}

test.each(programs)("%s runs and is short", async (name) => {
  const printed: string[] = [];
  vi.spyOn(console, "log").mockImplementation((...values: unknown[]) => {
    printed.push(values.map(String).join(" "));
  });
  await import(/* @vite-ignore */ new URL(name, folder).pathname);
  expect(printed.length).toBeGreaterThan(1);
  expect(printed.join("\n")).not.toMatch(/NaN|undefined|\[object/);
  const lines = readFileSync(new URL(name, folder), "utf8").split("\n");
  expect(lines.length).toBeLessThan(60);
  if (SHOWN.has(name)) {
    const comments = lines.filter((line) => line.startsWith("//")).map((line) => shape(line.slice(2)));
    for (const line of printed.slice(0, 2)) expect(comments).toContain(shape(line));
  }
});
