import { describe, expect, test } from "vitest";
import { engine } from "../../ts/engine/current.ts";
import type { Arg, Bits, DType } from "../../ts/engine/engine.ts";

const e = engine();
const opNumber = (name: string) => {
  const at = e.ops().findIndex((op) => op.name === name);
  if (at < 0) throw new Error(`no operation ${name}`);
  return at;
};
// Deliberately wrong values, as untyped JavaScript would pass them.
const untyped = (value: unknown) => value as never;

describe("typed arrays go in and come out unchanged", () => {
  const cases: [DType, Bits][] = [
    ["float32", new Float32Array([1.5, -0, Number.NaN, Number.POSITIVE_INFINITY, 1e-45, 3])],
    ["float64", new Float64Array([1.5, -0, Number.NaN, Number.NEGATIVE_INFINITY, 5e-324, 3])],
    ["float16", new Uint16Array([0x3c00, 0x8000, 0x7e00, 0x7c00, 0x0001, 0xfbff])],
    ["bfloat16", new Uint16Array([0x3f80, 0x8000, 0x7fc0, 0x7f80, 0x0001, 0xff7f])],
    ["uint8", new Uint8Array([0, 1, 127, 128, 254, 255])],
    ["uint32", new Uint32Array([0, 1, 2 ** 31, 2 ** 32 - 1, 7, 8])],
    ["int64", new BigInt64Array([0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, 5n])],
    ["bool", new Uint8Array([0, 1, 1, 0, 0, 1])],
  ];
  for (const [dtype, data] of cases) {
    test(dtype, () => {
      const tensor = e.fromBits(data, dtype, [2, 3], "cpu");
      expect(tensor.dtype).toBe(dtype);
      expect(tensor.shape).toEqual([2, 3]);
      expect(tensor.device).toBe("cpu");
      const out = tensor.toBits();
      expect(out.constructor).toBe(data.constructor);
      // Bytes, so that -0 and the payload of NaN count.
      expect(new Uint8Array(out.buffer)).toEqual(new Uint8Array(data.buffer));
      expect(out.byteLength).toBe(out.buffer.byteLength);
    });
  }

  test("a view into a larger buffer gives its own part only", () => {
    const all = new Float32Array([0, 1, 2, 3, 4, 5]);
    expect(e.fromBits(all.subarray(2, 4), "float32", [2], "cpu").toBits()).toEqual(new Float32Array([2, 3]));
  });

  test("neither side sees later writes of the other", () => {
    const data = new Float32Array([1, 2]);
    const tensor = e.fromBits(data, "float32", [2], "cpu");
    data[0] = 9;
    const out = tensor.toBits();
    out[1] = 9;
    expect(tensor.toBits()).toEqual(new Float32Array([1, 2]));
  });

  test("scalars and empty tensors", () => {
    expect(e.fromBits(new Float32Array([4]), "float32", [], "cpu").shape).toEqual([]);
    const empty = e.fromBits(new Float32Array(0), "float32", [0, 3], "cpu");
    expect(empty.shape).toEqual([0, 3]);
    expect(empty.toBits()).toEqual(new Float32Array(0));
  });
});

describe("wrong data is refused with a code", () => {
  const refused: [string, () => unknown, string][] = [
    ["array of another type", () => e.fromBits(new Float64Array(2), "float32", [2], "cpu"), "wrong_dtype"],
    ["too few elements", () => e.fromBits(new Float32Array(2), "float32", [3], "cpu"), "element_count"],
    [
      "a shape beyond memory",
      () => e.fromBits(new Float32Array(2), "float32", [2 ** 40, 2 ** 40], "cpu"),
      "element_count",
    ],
    ["a negative size", () => e.fromBits(new Float32Array(2), "float32", [-2], "cpu"), "invalid_argument"],
    ["a fractional size", () => e.fromBits(new Float32Array(2), "float32", [2.5], "cpu"), "invalid_argument"],
    [
      "a bool that is neither 0 nor 1",
      () => e.fromBits(new Uint8Array([2]), "bool", [1], "cpu"),
      "invalid_argument",
    ],
    ["a plain array", () => e.fromBits(untyped([1, 2]), "float32", [2], "cpu"), "invalid_argument"],
    [
      "a DataView",
      () => e.fromBits(untyped(new DataView(new ArrayBuffer(8))), "float32", [2], "cpu"),
      "invalid_argument",
    ],
    [
      "an unknown dtype",
      () => e.fromBits(new Float32Array(1), untyped("float99"), [1], "cpu"),
      "invalid_argument",
    ],
    [
      "no shape",
      () => e.fromBits(new Float32Array(1), "float32", untyped(undefined), "cpu"),
      "invalid_argument",
    ],
    ["an unknown device", () => e.fromBits(new Float32Array(1), "float32", [1], "tpu"), "device_unavailable"],
    [
      "a device that is not here",
      () => e.fromBits(new Float32Array(1), "float32", [1], "cuda:99"),
      "device_unavailable",
    ],
  ];
  for (const [what, run, code] of refused) {
    test(what, () => expect(run).toThrow(expect.objectContaining({ code })));
  }
});

describe("plain arguments", () => {
  const exp = opNumber("exp");
  const x = e.fromBits(new Float32Array([0]), "float32", [1], "cpu");
  const loop: Arg[] = [];
  (loop as unknown[]).push(loop);
  const refused: [string, unknown][] = [
    ["an object", [{}]],
    ["a function", [() => 0]],
    ["a symbol", [Symbol.iterator]],
    ["a bigint beyond int64", [2n ** 63n]],
    ["a list that contains itself", loop],
    ["no list at all", 7],
  ];
  for (const [what, args] of refused) {
    test(`${what} is refused`, () => {
      expect(() => e.call(exp, [x], untyped(args))).toThrow(
        expect.objectContaining({ code: "invalid_argument" }),
      );
    });
  }
  test("what is no tensor is refused", () => {
    for (const wrong of [null, undefined, 3, {}, "x", Object.create(x)]) {
      expect(() => e.call(exp, [untyped(wrong)], [])).toThrow(
        expect.objectContaining({ code: "invalid_argument" }),
      );
    }
  });
  test("an operation number that does not exist is refused", () => {
    expect(() => e.call(1e6, [x], [])).toThrow(expect.objectContaining({ code: "unknown_op" }));
    expect(() => e.call(-1, [x], [])).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });
});
