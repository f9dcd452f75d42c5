import { expect, test } from "vitest";
import { engine, floats, op } from "./native-module.ts";

test("a chain of 1,000,000 operations runs forward and backward and is dropped", () => {
  const neg = op("neg");
  const x = floats([0.5]).requiringGrad();
  let y = x;
  for (let i = 0; i < 1_000_000; i++) {
    const [next] = engine.call(neg, [y], []);
    if (next === undefined) throw new Error("neg gave nothing");
    if (y !== x) y.dispose();
    y = next;
  }
  expect(y.toBits()).toEqual(new Float32Array([0.5]));
  y.backward(null, true);
  expect(x.grad()?.toBits()).toEqual(new Float32Array([1]));
  // The last handle: the whole chain goes at once.
  y.dispose();
  expect(engine.call(neg, [x], [])[0]?.toBits()).toEqual(new Float32Array([-0.5]));
}, 120_000);
