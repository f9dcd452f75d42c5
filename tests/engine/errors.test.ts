import { describe, expect, test } from "vitest";
import type { EngineTensor } from "../../ts/engine/engine.ts";
import {
  ENGINE_ERROR_CODES,
  HooklensError,
  HookShapeError,
  hooklensError,
  LIBRARY_ERROR_CODES,
  parseEngineError,
  UnknownHookError,
} from "../../ts/engine/errors.ts";
import { engine, floats, native, op, untyped } from "./native-module.ts";

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

test("the list of codes is the engine's own", () => {
  expect([...ENGINE_ERROR_CODES].sort()).toEqual(native.errorCodes().sort());
  expect(new Set([...ENGINE_ERROR_CODES, ...LIBRARY_ERROR_CODES]).size).toBe(
    ENGINE_ERROR_CODES.length + LIBRARY_ERROR_CODES.length,
  );
});

describe("an error of the engine", () => {
  const registry = engine.createRegistry([{ name: "blocks.0.hook_mlp_out", axes: [], default: true }]);

  test("is a HooklensError of the class of its code, with details", () => {
    const error = thrownBy(() => registry.select(["blocks.0.hook_mlp_oat"]));
    expect(error).toBeInstanceOf(UnknownHookError);
    expect(error).toBeInstanceOf(HooklensError);
    expect(error).toMatchObject({
      name: "UnknownHookError",
      code: "unknown_hook",
      hook: "blocks.0.hook_mlp_oat",
      suggestions: ["blocks.0.hook_mlp_out"],
    });
    expect(String(error)).toMatch(/^UnknownHookError: no hook point is called 'blocks\.0\.hook_mlp_oat'/);
    expect((error as Error).stack).toContain("errors.test.ts");
  });

  test("leaves the addon as data", () => {
    const error = thrownBy(() => engine.call(op("exp"), [], []));
    expect(error).toMatchObject({ code: "invalid_argument", details: { op: "exp" } });
  });

  test("has no class of its own where nobody would catch it", () => {
    const error = thrownBy(() => engine.call(op("exp"), [untyped(null)], []));
    expect(error).toMatchObject({ name: "HooklensError", code: "invalid_argument" });
  });
});

test("details come in JavaScript's spelling", () => {
  const data = { code: "context_length", message: "m", details: { required: 5, n_ctx: 4 } };
  const error = parseEngineError(new Error(`hooklens:${JSON.stringify(data)}`));
  expect(error).toMatchObject({ name: "ContextLengthError", required: 5, nCtx: 4, details: { nCtx: 4 } });
});

test("a code that this version does not know is internal", () => {
  const data = { code: "from_the_future", message: "m", details: {} };
  expect(parseEngineError(new Error(`hooklens:${JSON.stringify(data)}`))?.code).toBe("internal");
});

test("other errors are left alone", () => {
  for (const other of [new Error("x"), "hooklens:", 42, null]) expect(parseEngineError(other)).toBeNull();
});

test("the library makes errors of the same classes", () => {
  const error = hooklensError("hook_shape", "m", { hook: "h", expected: [1, 2], got: [2, 1] });
  expect(error).toBeInstanceOf(HookShapeError);
  expect(error).toMatchObject({ hook: "h", expected: [1, 2], got: [2, 1] });
});

describe("a disposed tensor", () => {
  const uses: [string, (t: ReturnType<typeof floats>) => unknown][] = [
    ["shape", (t) => t.shape],
    ["dtype", (t) => t.dtype],
    ["requiresGrad", (t) => t.requiresGrad],
    ["toBits", (t) => t.toBits()],
    ["share", (t) => t.share()],
    ["backward", (t) => t.backward(null, false)],
    ["setGrad", (t) => t.setGrad(null)],
    ["as an operand", (t) => engine.call(op("exp"), [t], [])],
    ["as a parameter", (t) => engine.parameter(t)],
    ["as a gradient", (t) => floats([1]).requiringGrad().setGrad(t)],
  ];
  for (const [what, use] of uses) {
    test(`${what} is refused`, () => {
      const tensor = floats([1]);
      tensor.dispose();
      expect(() => use(tensor)).toThrow(expect.objectContaining({ code: "disposed" }));
    });
  }

  test("knows that it is, and may be disposed again", () => {
    const tensor = floats([1]);
    expect(tensor.isDisposed).toBe(false);
    tensor.dispose();
    tensor.dispose();
    expect(tensor.isDisposed).toBe(true);
  });

  test("leaves other handles to the same tensor alone", () => {
    const tensor = floats([1, 2]);
    const other = tensor.share();
    tensor.dispose();
    expect(other.toBits()).toEqual(new Float32Array([1, 2]));
  });

  test("gives its place to later tensors without being taken for them", () => {
    const gone = floats([1]);
    gone.dispose();
    const later = Array.from({ length: 100 }, (_, i) => floats([i]));
    expect(() => gone.shape).toThrow(expect.objectContaining({ code: "disposed" }));
    expect(later.map((t) => t.toBits()[0])).toEqual(later.map((_, i) => i));
  });
});

describe("methods on what is no tensor", () => {
  const prototype = Object.getPrototypeOf(floats([1]));
  test("made by hand", () => {
    const made: EngineTensor = untyped(Reflect.construct(prototype.constructor, []));
    expect(() => made.shape).toThrow(expect.objectContaining({ code: "invalid_argument" }));
    expect(() => engine.call(op("exp"), [made], [])).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
  });
  test("of another class of the addon", () => {
    const cache = engine.createCache();
    expect(() => engine.call(op("exp"), [untyped(cache)], [])).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
    expect(() => prototype.toBits.call(cache)).toThrow();
  });
});
