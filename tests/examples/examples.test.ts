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

test.each(programs)("%s runs and is short", async (name) => {
  const printed: string[] = [];
  vi.spyOn(console, "log").mockImplementation((...values: unknown[]) => {
    printed.push(values.map(String).join(" "));
  });
  await import(/* @vite-ignore */ new URL(name, folder).pathname);
  expect(printed.length).toBeGreaterThan(1);
  expect(printed.join("\n")).not.toMatch(/NaN|undefined|\[object/);
  expect(readFileSync(new URL(name, folder), "utf8").split("\n").length).toBeLessThan(60);
});
