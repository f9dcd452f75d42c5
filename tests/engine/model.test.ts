import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readModel } from "../../ts/models/read-model.ts";
import { chooseSource } from "../../ts/models/sources/choose-source.ts";
import { GOLDEN, readSafetensors } from "../support/golden.ts";
import { engine, floats } from "./native-module.ts";

const folder = mkdtempSync(join(tmpdir(), "hooklens-model-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const expected = readSafetensors("gpt2", "expected.safetensors");

function stored(name: string) {
  const found = expected.get(name);
  if (found === undefined) throw new Error(`the fixture has no ${name}`);
  return found;
}

function tokens() {
  const { bytes, shape } = stored("tokens");
  return engine.fromBits(new BigInt64Array(bytes.buffer), "int64", shape, "cpu");
}

function expectClose(got: ReturnType<typeof floats> | null | undefined, name: string): void {
  const want = stored(name);
  expect(got?.shape).toEqual(want.shape);
  const [a, b] = [got?.toBits() ?? [], new Float32Array(want.bytes.buffer)];
  const allowed = 1e-4 + 1e-4 * b.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  for (const [i, x] of b.entries()) expect(Math.abs(Number(a[i]) - x)).toBeLessThan(allowed);
}

const model = await readModel(chooseSource(join(GOLDEN, "gpt2"), {}, false), {});

describe("a model", () => {
  test("gives the logits of its fixture", () => {
    const { logits, loss, residual } = model.forward({ input: tokens(), returnType: "logits" });
    expectClose(logits, "logits");
    expect(loss).toBeNull();
    expect(residual).toBeNull();
  });

  test("gives the same a block at a time", () => {
    const run = model.start({ input: tokens(), returnType: "logits" });
    const left = [run.blocksLeft];
    while (run.step()) left.push(run.blocksLeft);
    const { n_layers } = JSON.parse(model.configJson());
    expect(left).toEqual(Array.from({ length: n_layers }, (_, i) => n_layers - i));
    expectClose(run.finish().logits, "logits");
    expect(() => run.finish()).toThrow(expect.objectContaining({ code: "invalid_argument" }));
    expect(() => run.step()).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });

  test("captures into a cache", () => {
    const registry = model.registry();
    const cache = engine.createCache();
    const [point] = registry.select(["blocks.0.attn.hook_pattern"]);
    if (point === undefined) throw new Error("no such point");
    const handle = registry.add(point, "fwd", { kind: "capture", cache, options: {} }, {});
    expect(registry.list(point)).toEqual([
      { handle, point, dir: "fwd", permanent: false, level: null, callback: null },
    ]);
    model.forward({ input: tokens(), returnType: "none" });
    expect(registry.remove(handle)).toBe(true);
    expect(registry.remove(handle)).toBe(false);
    expect(cache.keys()).toEqual(["blocks.0.attn.hook_pattern"]);
    const pattern = cache.get("blocks.0.attn.hook_pattern");
    expect(cache.byteSize).toBe((pattern?.shape ?? []).reduce((n, d) => n * d, 4));
    expect(cache.get("other")).toBeNull();
    cache.clear();
    expect(cache.keys()).toEqual([]);
  });

  test("runs hooks of JavaScript, also those that run the model", () => {
    const registry = model.registry();
    const [point] = registry.select(["blocks.0.hook_resid_post"]);
    if (point === undefined) throw new Error("no such point");
    let depth = 0;
    engine.setTrampoline((_callback, _backward, name, value) => {
      expect(name).toBeNull();
      if (depth++ === 0)
        expectClose(model.forward({ input: tokens(), returnType: "logits" }).logits, "logits");
      return value;
    });
    const handle = registry.add(point, "fwd", { kind: "callback", callback: 1 }, {});
    expectClose(model.forward({ input: tokens(), returnType: "logits" }).logits, "logits");
    expect(depth).toBe(2);
    registry.remove(handle);
  });

  test("has parameters that train, save and load", () => {
    const path = join(folder, "weights.safetensors");
    const all = model.parameterNames().map((name) => ({ name, tensor: model.parameter(name) }));
    engine.writeTensors(path, all, { format: "pt", note: "ünïcode" });
    const { tensors: read, metadata } = engine.readTensors(path);
    expect(metadata).toContainEqual({ name: "note", text: "ünïcode" });
    expect(read.map(({ name }) => name).sort()).toEqual(model.parameterNames().sort());

    const other = engine.createModel(model.configJson(), {});
    expect(other.parameterNames()).toEqual(model.parameterNames());
    other.loadParameters(read);
    expectClose(other.forward({ input: tokens(), returnType: "logits" }).logits, "logits");
    expect(() => other.loadParameters(read.slice(1))).toThrow(
      expect.objectContaining({ code: "weight_mismatch" }),
    );

    other.setTrainable(true);
    const { loss } = other.forward({ input: tokens(), returnType: "loss" });
    loss?.backward(null, false);
    const weight = other.parameter("blocks.0.attn.W_Q");
    expect(weight.isLeaf && weight.requiresGrad).toBe(true);
    expect(weight.grad()?.shape).toEqual(weight.shape);
  });

  test("refuses what is wrong with a code", () => {
    const refused: [() => unknown, string][] = [
      [() => model.forward({ input: floats([1, 2], [1, 2]), returnType: "logits" }), "wrong_dtype"],
      [
        () =>
          model.forward({
            input: engine.fromBits(new BigInt64Array([10n ** 9n]), "int64", [1, 1], "cpu"),
            returnType: "logits",
          }),
        "token_out_of_range",
      ],
      [() => model.parameter("blocks.0.attn.W_X"), "weight_mismatch"],
      [() => engine.createModel("{", {}), "invalid_argument"],
      [() => engine.createModel("{}", {}), "unsupported_config"],
      [() => engine.readTensors(join(folder, "nothing.safetensors")), "missing_file"],
      [() => engine.writeTensors(join(folder, "no", "such.safetensors"), [], {}), "invalid_file"],
    ];
    for (const [run, code] of refused) expect(run).toThrow(expect.objectContaining({ code }));
  });
});
