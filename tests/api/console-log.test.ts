// What console.log shows in Node, which asks for it with `util.inspect`.

import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { arange, HookPoint } from "../../ts/index.ts";

describe("tensors", () => {
  test("are shown as their text", () => {
    const t = arange(2000);
    expect(inspect(t)).toBe(String(t));
  });

  test("show as much as Node shows of an array", () => {
    const t = arange(896).reshape([1, 7, 128]);
    expect(String(t)).not.toContain("...");
    expect(inspect(t)).toContain("...");
    expect(inspect(t).length).toBeLessThan(600);
    expect(inspect(arange(100))).toBe(String(arange(100)));
    expect(inspect(t, { maxArrayLength: null })).toBe(String(t));
    expect(inspect(t, { maxArrayLength: Number.POSITIVE_INFINITY })).toBe(String(t));
    expect(inspect(arange(10), { maxArrayLength: 4 })).toBe("tensor([0, 1, 2,  ..., 7, 8, 9])");
    expect(inspect({ a: { b: { c: { t } } } }, { depth: 2 })).not.toContain("tensor(");
    expect(inspect([t], { depth: 0 })).toBe("[ [Tensor int64 [1, 7, 128]] ]");
    t.dispose();
    expect(inspect([t], { depth: 0 })).toContain("disposed");
  });
});

test("points are shown as their text", () => {
  const point = new HookPoint();
  point.addHook(() => {});
  expect(inspect(point)).toBe(String(point));
  expect(inspect(point)).toContain("1 fwd");
});
