import { expect, test } from "vitest";
import { curveCsv, curveSvg } from "../../scripts/tiny/loss-curve.ts";
import { Random } from "../../scripts/tiny/random.ts";
import { drawWindows, type TokenStream, walkWindows } from "../../scripts/tiny/tokens.ts";

const curve = [
  { step: 10, train: 5.5, validation: null, learningRate: 0.001 },
  { step: 20, train: 4.25, validation: 4.5, learningRate: 0.002 },
];

test("the loss curve as a table", () => {
  expect(curveCsv(curve)).toBe(
    "step,train,validation,learning_rate\n10,5.5000,,1.000e-3\n20,4.2500,4.5000,2.000e-3\n",
  );
});

test("the loss curve as a picture has both lines and the baselines", () => {
  const svg = curveSvg(curve, [{ name: "bigram", loss: 4.4 }]);
  expect(svg.match(/<polyline/g)).toHaveLength(2);
  expect(svg).toContain("bigram 4.40");
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
});

const stream: TokenStream = {
  ids: Uint16Array.from({ length: 50 }, (_, i) => i + 1),
  verses: Uint32Array.of(0, 10, 20, 45),
  characters: 200,
};

test("training windows begin with the start token and a verse, and never run over the end", () => {
  const random = new Random(1);
  const starts = new Set<bigint | undefined>();
  for (let i = 0; i < 20; i++) {
    const { ids, batch } = drawWindows(stream, random, 2, 8);
    expect(batch).toBe(2);
    for (const row of [ids.subarray(0, 8), ids.subarray(8)]) {
      expect(row[0]).toBe(0n);
      starts.add(row[1]);
      expect([...row.subarray(1)]).toEqual(Array.from({ length: 7 }, (_, i) => (row[1] ?? 0n) + BigInt(i)));
    }
  }
  expect([...starts].sort()).toEqual([1n, 11n, 21n]);
});

test("validation windows predict every token once", () => {
  const seen = [...walkWindows(stream, 2, 8)].flatMap(({ ids, batch }) =>
    Array.from({ length: batch }, (_, row) => [...ids.subarray(row * 8 + 1, (row + 1) * 8)]).flat(),
  );
  expect(seen).toEqual(Array.from({ length: 49 }, (_, i) => BigInt(i + 1)));
});

test("random numbers are the same for a seed and go on from a saved state", () => {
  const first = new Random(7);
  const drawn = Array.from({ length: 5 }, () => first.next());
  const second = new Random(7);
  second.next();
  second.next();
  const resumed = new Random(0);
  resumed.state = second.state;
  expect(resumed.next()).toBe(drawn[2]);
  expect(new Set(drawn).size).toBe(5);
  expect([...first.shuffle([1, 2, 3, 4])].sort()).toEqual([1, 2, 3, 4]);
});
