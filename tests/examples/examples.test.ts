// Every program in examples/ runs, prints what its comments say that it prints, and stays short enough to be read at once.

import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, test, vi } from "vitest";

const folder = new URL("../../examples/", import.meta.url);
const programs = readdirSync(folder).filter((name) => name.endsWith(".ts"));

afterEach(() => {
  vi.restoreAllMocks();
});

test("there are examples", () => {
  expect(programs.length).toBeGreaterThan(3);
});

const NUMBER = /-?\d+(?:\.\d+)?/g;

/** A line without its numbers and the width of its spaces. */
function wordsOf(line: string): string {
  return line.replaceAll(NUMBER, "#").replaceAll(/\s+/g, " ").trim();
}

/** Whether two lines say the same. The last decimal may differ by two, as it may from machine to machine. */
function agree(printed: string, shown: string): boolean {
  const [got, expected] = [printed.match(NUMBER) ?? [], shown.match(NUMBER) ?? []];
  if (wordsOf(printed) !== wordsOf(shown)) return false;
  return got.every((text, i) => {
    const other = expected[i] ?? "";
    const decimals = text.split(".")[1]?.length ?? 0;
    if (decimals !== (other.split(".")[1]?.length ?? 0)) return false;
    const tolerance = decimals === 0 ? 0 : 2.01 * 10 ** -decimals;
    return Math.abs(Number(text) - Number(other)) <= tolerance;
  });
}

describe("lines agree", () => {
  test.each([
    ["layer 0: -0.194  1.50", "layer 0:  -0.193 1.52", true],
    ["block 1 -0.00", "block 1  0.00", true],
    ["1.50", "1.53", false],
    ["1.50", "-1.50", false],
    ["1.50", "1.5", false],
    ["layer 0: 0.10", "layer 1: 0.10", false],
    ["L0H1 0.10", "L0H1 0.10 more", false],
  ])("%j, %j: %s", (printed, shown, expected) => {
    expect(agree(printed, shown)).toBe(expected);
  });
});

test.each(programs)("%s prints what it shows, and is short", async (name) => {
  const printed: string[] = [];
  vi.spyOn(console, "log").mockImplementation((...values: unknown[]) => {
    printed.push(...values.map(String).join(" ").split("\n"));
  });
  await import(/* @vite-ignore */ new URL(name, folder).pathname);
  expect(printed.length).toBeGreaterThan(1);
  const lines = readFileSync(new URL(name, folder), "utf8").split("\n");
  expect(lines.length).toBeLessThan(60);
  let comments = lines.filter((line) => line.startsWith("//")).map((line) => line.slice(2));
  for (const line of printed) {
    const at = comments.findIndex((comment) => agree(line, comment));
    expect(at, `'${line}' is shown in its turn`).toBeGreaterThanOrEqual(0);
    comments = comments.slice(at + 1);
  }
});
