import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EngineRegistry, EngineTensor, Trampoline } from "../../ts/engine/engine.ts";
import { engine, floats, native, op, untyped } from "./native-module.ts";

type Hook = (value: EngineTensor, name: string | null) => EngineTensor | null | undefined;

/** The smallest table of functions, as the library's own keeps one. */
const hooks = new Map<number, Hook>();
const run: Trampoline = (callback, _backward, name, value) => hooks.get(callback)?.(value, name) ?? null;

let registry: EngineRegistry;
let next = 1;

function hook(fn: Hook, dir: "fwd" | "bwd" = "fwd", point = 0): number {
  const callback = next++;
  hooks.set(callback, fn);
  return registry.add(point, dir, { kind: "callback", callback }, {});
}

beforeEach(() => {
  engine.setTrampoline(run);
  registry = engine.createRegistry([
    { name: "a", axes: [], default: true },
    { name: "b", axes: [], default: true },
  ]);
});

afterEach(() => hooks.clear());

function caught(f: () => unknown): { value: unknown } | null {
  try {
    f();
  } catch (value) {
    return { value };
  }
  return null;
}

class Own extends Error {
  readonly extra = { deep: [1, 2] };
}

const thrown: [string, unknown][] = [
  ["an Error", new Error("x")],
  ["an error of a class", new Own("y")],
  ["a frozen error", Object.freeze(new Error("z"))],
  ["a number", 42],
  ["NaN", Number.NaN],
  ["a string", "hooklens:not data"],
  ["undefined", undefined],
  ["null", null],
  ["false", false],
  ["a symbol", Symbol("s")],
  ["an object", { q: 1 }],
  ["a function", () => 1],
];

describe("what a hook throws comes out as it is", () => {
  for (const [what, value] of thrown) {
    test(`${what}, forward`, () => {
      hook(() => {
        throw value;
      });
      const out = caught(() => registry.fire(0, floats([1])));
      expect(out).not.toBeNull();
      expect(Object.is(out?.value, value)).toBe(true);
    });

    test(`${what}, backward`, () => {
      hook(() => {
        throw value;
      }, "bwd");
      const y = registry.fire(0, floats([1]).requiringGrad());
      const out = caught(() => y.backward(null, false));
      expect(out).not.toBeNull();
      expect(Object.is(out?.value, value)).toBe(true);
    });
  }

  test("with the stack that it had", () => {
    const error = new Error("here");
    const { stack } = error;
    hook(() => {
      throw error;
    });
    caught(() => registry.fire(0, floats([1])));
    expect(error.stack).toBe(stack);
  });

  test("through engine calls inside hooks inside engine calls", () => {
    const error = new Error("innermost");
    hook(() => {
      throw error;
    });
    hook((value) => registry.fire(0, value), "fwd", 1);
    expect(caught(() => registry.fire(1, floats([1])))?.value).toBe(error);
  });

  test("also after another hook caught what an inner run threw", () => {
    const [inner, outer] = [new Error("inner"), new Error("outer")];
    hook(() => {
      throw inner;
    });
    let seen: unknown;
    hook(
      (value) => {
        seen = caught(() => registry.fire(0, value))?.value;
        return null;
      },
      "fwd",
      1,
    );
    expect(registry.fire(1, floats([3])).toBits()).toEqual(new Float32Array([3]));
    expect(seen).toBe(inner);
    hook(
      () => {
        throw outer;
      },
      "fwd",
      1,
    );
    expect(caught(() => registry.fire(1, floats([3])))?.value).toBe(outer);
  });

  test("and the next run works", () => {
    let angry = true;
    hook((value) => {
      if (angry) throw new Error("no");
      return value;
    });
    caught(() => registry.fire(0, floats([1])));
    angry = false;
    expect(registry.fire(0, floats([5])).toBits()).toEqual(new Float32Array([5]));
  });

  test("an error of the engine inside a hook keeps its code", () => {
    hook(() => engine.call(op("exp"), [untyped(null)], [])[0]);
    expect(() => registry.fire(0, floats([1]))).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
  });
});

describe("a hook that never ends", () => {
  test("by running itself through the engine is stopped", () => {
    hook((value) => registry.fire(0, value));
    expect(() => registry.fire(0, floats([1]))).toThrow(
      expect.objectContaining({ code: "hooks_nested_too_deep" }),
    );
  });

  test("by recursion in JavaScript is a RangeError, at whatever depth it starts", () => {
    const deep = (n: number): number => 1 + deep(n + 1);
    hook(() => {
      deep(0);
      return null;
    });
    expect(() => registry.fire(0, floats([1]))).toThrow(RangeError);

    hooks.clear();
    expect(registry.fire(0, floats([2])).toBits()).toEqual(new Float32Array([2]));
  });

  test("nor does the engine mind how little of the stack is left", () => {
    hook((value) => engine.call(exp, [value], [])[0]);
    const exp = op("exp");
    const x = floats([0]);
    let deepest = 0;
    const dive = (depth: number, then: () => void): void => {
      deepest = depth;
      if (depth === target) then();
      else dive(depth + 1, then);
    };
    let target = -1;
    expect(() => dive(0, () => {})).toThrow(RangeError);
    const limit = deepest;
    const outcomes = { completed: 0, failed: 0 };
    for (target = limit; target > limit / 2; target -= 10) {
      try {
        dive(0, () => registry.fire(0, x));
        outcomes.completed++;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        outcomes.failed++;
      }
    }
    expect(outcomes.completed).toBeGreaterThan(10);
    expect(outcomes.failed).toBeGreaterThan(10);
    expect(registry.fire(0, x).toBits()).toEqual(new Float32Array([1]));
  });
});

describe("what a hook returns", () => {
  test("takes the activation's place", () => {
    hook((value) => engine.call(op("exp"), [value], [])[0]);
    expect(registry.fire(0, floats([0])).toBits()).toEqual(new Float32Array([1]));
  });

  test("may be nothing, and so may the function", () => {
    hook(() => undefined);
    registry.add(0, "fwd", { kind: "callback", callback: 999_999 }, {});
    expect(registry.fire(0, floats([7])).toBits()).toEqual(new Float32Array([7]));
  });

  test("must not be disposed, foreign or of another shape or dtype", () => {
    const wrong: [unknown, string][] = [
      [floats([1, 2]), "hook_shape"],
      [engine.fromBits(new Float64Array(1), "float64", [1], "cpu"), "hook_dtype"],
      [{}, "invalid_argument"],
      ["text", "invalid_argument"],
    ];
    const disposed = floats([1]);
    disposed.dispose();
    wrong.push([disposed, "disposed"]);
    for (const [value, code] of wrong) {
      const handle = hook(() => untyped(value));
      expect(() => registry.fire(0, floats([1]))).toThrow(expect.objectContaining({ code }));
      registry.remove(handle);
    }
  });

  test("is seen with direction and name, if it is not the point's own", () => {
    const seen: unknown[] = [];
    engine.setTrampoline((callback, backward, name, value) => {
      seen.push([callback, backward, name, value.shape]);
      return null;
    });
    registry.add(1, "fwd", { kind: "callback", callback: 2 ** 40 }, { aliases: ["x", "ünïcode"] });
    registry.add(1, "bwd", { kind: "callback", callback: 7 }, {});
    registry.fire(1, floats([1, 2]));
    registry.fireGradient(1, floats([1]));
    registry.fireGradient(1, floats([1]), "own");
    expect(seen).toEqual([
      [2 ** 40, false, "x", [2]],
      [2 ** 40, false, "ünïcode", [2]],
      [7, true, null, [1]],
      [7, true, "own", [1]],
    ]);
  });
});

test("an exception that a trampoline lets through is thrown on", () => {
  const escaped = new RangeError("escaped");
  native.setTrampoline(() => {
    throw escaped;
  });
  registry.add(0, "fwd", { kind: "callback", callback: 1 }, {});
  expect(caught(() => registry.fire(0, floats([1])))?.value).toBe(escaped);
});

test("callbacks are released when neither a handle nor a graph needs them", () => {
  const handle = hook((g) => g, "bwd");
  const callback = next - 1;
  const x = floats([1]).requiringGrad();
  const y = registry.fire(0, x);
  registry.remove(handle);
  expect(registry.drainReleased()).toEqual([]);
  y.backward(null, false);
  y.dispose();
  expect(registry.drainReleased()).toEqual([callback]);
});
