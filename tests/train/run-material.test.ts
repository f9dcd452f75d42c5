import { expect, test } from "vitest";
import { curveCsv, curveSvg } from "../../scripts/tiny/loss-curve.ts";
import { Random } from "../../scripts/tiny/random.ts";
import { drawRepeats, repeatedOnce } from "../../scripts/tiny/repeats.ts";
import {
  drawWindows,
  joinWindows,
  type TokenStream,
  type Windows,
  walkWindows,
} from "../../scripts/tiny/tokens.ts";

const curve = [
  { step: 10, train: 5.5, measured: null, learningRate: 0.001 },
  { step: 20, train: 4.25, measured: { validation: 4.5 }, learningRate: 0.002 },
];

test("the loss curve as a table", () => {
  expect(curveCsv(curve)).toBe(
    "step,train,validation,learning_rate\n10,5.5000,,1.000e-3\n20,4.2500,4.5000,2.000e-3\n",
  );
});

test("the loss curve has a column for each thing measured", () => {
  const more = [{ step: 30, train: 4, measured: { validation: 4.2, repeated: 1.5 }, learningRate: 0.001 }];
  expect(curveCsv([...curve, ...more]).split("\n")).toEqual([
    "step,train,validation,repeated,learning_rate",
    "10,5.5000,,,1.000e-3",
    "20,4.2500,4.5000,,2.000e-3",
    "30,4.0000,4.2000,1.5000,1.000e-3",
    "",
  ]);
  expect(curveSvg(more, [])).toMatch(/training<.*validation<.*repeated</);
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

/** The rows of windows, as numbers. */
function rowsOf({ ids, batch }: Windows): number[][] {
  const window = ids.length / batch;
  return Array.from({ length: batch }, (_, row) =>
    Array.from(ids.subarray(row * window, (row + 1) * window), Number),
  );
}

test("repeated rows are a block of random tokens again and again, which count in full where they can be predicted", () => {
  const windows = drawRepeats(new Random(3), 60, 65, 1000);
  const periods = rowsOf(windows).map(([start, ...text], row) => {
    expect(start).toBe(0);
    expect(Math.min(...text)).toBeGreaterThan(0);
    expect(Math.max(...text)).toBeLessThan(1000);
    const period = text.findIndex((_, p) => p > 0 && text.slice(p).every((id, i) => id === text[i]));
    expect(new Set(text).size).toBeLessThanOrEqual(period);
    const weights = [...(windows.weights?.subarray(64 * row, 64 * row + 64) ?? [])];
    expect(weights).toEqual(text.map((_, i) => (i > period ? 1 : Math.fround(0.1))));
    return period;
  });
  expect(Math.min(...periods)).toBe(4);
  expect(Math.max(...periods)).toBeLessThanOrEqual(32);
  expect(Math.max(...periods)).toBeGreaterThan(24);
  // Half of the lengths lie below the geometric mean of the ends.
  const short = periods.filter((period) => period < Math.sqrt(4 * 33)).length / periods.length;
  expect(short).toBeGreaterThan(0.35);
  expect(short).toBeLessThan(0.65);
});

test("what is measured is random tokens and the same once more, the same for a seed", () => {
  const windows = repeatedOnce(4, 3, 50, 1000);
  for (const [start, ...text] of rowsOf(windows)) {
    expect(start).toBe(0);
    expect(text.slice(50)).toEqual(text.slice(0, 50));
    expect(new Set(text).size).toBeGreaterThan(40);
  }
  expect(repeatedOnce(4, 3, 50, 1000)).toEqual(windows);
  expect(repeatedOnce(5, 3, 50, 1000)).not.toEqual(windows);
});

test("rows of two kinds make one batch", () => {
  const [text, repeats] = [drawWindows(stream, new Random(1), 2, 8), drawRepeats(new Random(1), 3, 8, 50)];
  const joined = joinWindows(text, repeats);
  expect(rowsOf(joined)).toEqual([...rowsOf(text), ...rowsOf(repeats)]);
  expect([...(joined.weights ?? [])]).toEqual([
    ...new Array<number>(2 * 7).fill(1),
    ...(repeats.weights ?? []),
  ]);
  expect(joinWindows(text, text).weights).toBeUndefined();
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
