import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { significant } from "../../ts/viz/numbers.ts";
import { encodePattern } from "../../ts/viz/pattern-code.ts";
import { contrast, inkOn, palettes, rangeClass, shareClass, signedClass } from "../../ts/viz/scales.ts";

describe("colour scales", () => {
  const colors = Object.entries(palettes).flatMap(([scheme, palette]) =>
    Object.entries(palette).flatMap(([scale, steps]: [string, readonly string[]]) =>
      steps.map((color, step) => [`${scheme} ${scale} ${step}`, color] as const),
    ),
  );

  test.each(colors)("text on %s can be read", (_, color) => {
    expect(contrast(color, inkOn(color))).toBeGreaterThanOrEqual(4.5);
  });

  test("lightness goes one way", () => {
    for (const palette of Object.values(palettes)) {
      for (const steps of Object.values(palette) as (readonly string[])[]) {
        const distances = steps.map((color) => contrast(color, steps[0] ?? ""));
        expect(distances).toEqual([...distances].sort((a, b) => a - b));
      }
    }
  });

  test("steps", () => {
    expect([0, 0.0024, 0.01, 0.25, 1, 7, Number.NaN].map(shareClass)).toEqual([
      "q0",
      "q0",
      "q1",
      "q5",
      "q10",
      "q10",
      "nan",
    ]);
    expect([-2, -0.01, 0, 0.1, 1, 2].map((value) => signedClass(value, 2))).toEqual([
      "n5",
      "z",
      "z",
      "p1",
      "p3",
      "p5",
    ]);
    expect([3, 4, 5].map((value) => rangeClass(value, 3, 5))).toEqual(["q0", "q5", "q10"]);
    expect(rangeClass(3, 3, 3)).toBe("q0");
    expect(signedClass(0, 0)).toBe("z");
  });
});

test("patterns as text: two characters a share, one for up to 48 zeros", () => {
  expect(encodePattern([])).toBe("");
  expect(encodePattern([0, 0, 1, 0.5, 0])).toBe("RPoH0Q");
  expect(encodePattern(new Float32Array(100))).toBe("__T");
  expect(encodePattern([0.01, 0.2], 0.05)).toBe("QDI");
  expect(encodePattern([Number.NaN])).toBe("P_");
});

test("three digits of any number", () => {
  expect([0, 0.01234, -4.567, 789.4, 123456, 1.2e7, 1.2e-7].map(significant)).toEqual([
    "0",
    "0.0123",
    "−4.57",
    "789",
    "123456",
    "1.2e7",
    "1.2e-7",
  ]);
  expect([Number.NaN, Number.NEGATIVE_INFINITY].map(significant)).toEqual(["NaN", "−∞"]);
});

test("the script in pages is the one that the sources say", () => {
  const check = spawnSync("node", ["scripts/build-client.mjs", "--check"], { encoding: "utf8" });
  expect(check.stdout + check.stderr).toBe("");
  expect(check.status).toBe(0);
});
