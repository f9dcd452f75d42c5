import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { fromFloat32Array, memory, setMemoryLimit, type Tensor, tidy, zeros } from "../../ts/index.ts";

// 10,000 tensors of 4 MB each: 40 GB in all, far more than any of these loops may ever hold.
const COUNT = 10_000;
const DATA = new Float32Array(1 << 20).fill(1);
const MB = 2 ** 20;

/** Makes the tensors, one after the other, and gives the largest resident set seen. */
async function peak(step: (i: number) => void, awaits: boolean): Promise<number> {
  let most = 0;
  for (let i = 0; i < COUNT; i++) {
    step(i);
    if (i % 50 === 0) most = Math.max(most, process.memoryUsage.rss());
    if (awaits && i % 100 === 0) await turn();
  }
  return most;
}

const make = (): Tensor => fromFloat32Array(DATA, [1 << 20]);

describe("10,000 tensors of 4 MB", () => {
  test("in tidy stay under 300 MB over what the process had before", async () => {
    const before = process.memoryUsage.rss();
    const most = await peak(() => tidy(() => void make()), false);
    expect(most - before).toBeLessThan(300 * MB);
  }, 240_000);

  test("disposed one by one stay under 300 MB over what the process had before", async () => {
    const before = process.memoryUsage.rss();
    const most = await peak(() => make().dispose(), false);
    expect(most - before).toBeLessThan(300 * MB);
  }, 240_000);

  test("never disposed stay under 1.5 GB when the loop awaits now and then", async () => {
    expect(await peak(() => void make(), true)).toBeLessThan(1500 * MB);
  }, 240_000);

  test("never disposed stay under 1.5 GB also when the loop never awaits", async () => {
    expect(await peak(() => void make(), false)).toBeLessThan(1500 * MB);
  }, 240_000);
});

describe("the memory limit", () => {
  afterEach(() => setMemoryLimit(0));

  test("stops a loop that keeps everything, naming what frees memory", () => {
    // What earlier tests left behind may go at any time: start from nothing collectable.
    setMemoryLimit(1);
    expect(make).toThrow(expect.objectContaining({ code: "memory_limit" }));
    setMemoryLimit(memory().bytes + 200 * MB);
    const kept: Tensor[] = [];
    const fill = () => {
      for (let i = 0; i < 100; i++) kept.push(make());
    };
    expect(fill).toThrow(
      expect.objectContaining({ code: "memory_limit", message: expect.stringMatching(/using.*tidy/) }),
    );
    expect(kept.length).toBeGreaterThanOrEqual(40);
    expect(kept.length).toBeLessThan(51);
    for (const tensor of kept) tensor.dispose();
    expect(make().shape).toEqual([1 << 20]);
  });

  test("does not count what nobody can reach any more", () => {
    setMemoryLimit(memory().bytes + 60 * MB);
    for (let i = 0; i < 300; i++) make();
  });

  test("is asked before anything large is made", () => {
    setMemoryLimit(memory().bytes + 100 * MB);
    const x = make();
    const huge = [() => x.reshape([1 << 20, 1]).add(x), () => x.expand([1 << 10, 1 << 20]).toFloat32Array()];
    for (const run of huge) expect(run).toThrow(expect.objectContaining({ code: "memory_limit" }));
    x.dispose();
  });
});

test("without a limit, what the system cannot give is an error and not the end of the process", () => {
  setMemoryLimit(0);
  const x = make();
  const column = x.reshape([1 << 20, 1]);
  const huge = [
    () => column.add(x),
    () => column.matmul(x.reshape([1, 1 << 20])),
    () => x.expand([1 << 20, 1 << 20]).toFloat32Array(),
    () => x.expand([1 << 20, 1 << 20]).exp(),
    () => zeros([2 ** 25, 2 ** 25]),
  ];
  for (const run of huge) expect(run).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  for (const tensor of [x, column]) tensor.dispose();
});

test("bytes count shared storage once, and go back to what they were", () => {
  const before = memory();
  const x = make();
  const views = Array.from({ length: 100 }, () => x.reshape([1 << 10, 1 << 10]));
  const during = memory();
  expect(during.tensors - before.tensors).toBe(101);
  expect(during.bytes - before.bytes).toBeGreaterThanOrEqual(4 * MB);
  expect(during.bytes - before.bytes).toBeLessThan(5 * MB);
  for (const tensor of [x, ...views]) tensor.dispose();
  const after = memory();
  expect(after.tensors).toBe(before.tensors);
  expect(Math.abs(after.bytes - before.bytes)).toBeLessThan(MB);
});
