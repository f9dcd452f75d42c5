import { tmpdir } from "node:os";
import { beforeAll, describe, expect, test } from "vitest";
import type { ModelSummary, PointSummary } from "../../ts/cli/model-summary.ts";
import { bytesText, foldBlocks } from "../../ts/cli/render/model.ts";
import { HookedTransformer } from "../../ts/index.ts";
import { runCommand } from "../support/command.ts";

const hooklens = (...args: string[]) =>
  runCommand(args, { isTTY: false, columns: 100, env: {}, cwd: tmpdir() });

let model: HookedTransformer;
beforeAll(async () => {
  model = await HookedTransformer.fromPretrained("builtin:tiny");
});

describe("hooklens info", () => {
  test("as data agrees with the model", async () => {
    const { code, out, err } = await hooklens("info", "builtin:tiny", "--json");
    expect([code, err]).toEqual([0, ""]);
    const summary: ModelSummary = JSON.parse(out);
    expect(summary.config).toEqual(JSON.parse(JSON.stringify(model.cfg)));
    expect(summary.parameters.list.map(({ name }) => name)).toEqual(
      [...model.namedParameters()].map(([name]) => name),
    );
    const all = [...model.parameters()].reduce((sum, parameter) => sum + parameter.size, 0);
    expect(summary.parameters.count).toBe(all - model.W_U.size);
    expect(summary.parameters.bytes).toBe(4 * summary.parameters.count);
    // What the engine holds beside the weights is tables and buffers.
    expect(summary.memory).toBeGreaterThanOrEqual(summary.parameters.bytes);
    expect(summary.memory).toBeLessThan(1.2 * summary.parameters.bytes);
  });

  test("gives each hook point the shape that a run has there", async () => {
    const { out } = await hooklens("info", "builtin:tiny", "--json");
    const summary: ModelSummary = JSON.parse(out);
    expect(summary.hookPoints.map(({ name }) => name)).toEqual([...model.hookDict.keys()]);
    const tokens = [5, 6, 7];
    const [, cache] = model.runWithCache(tokens);
    const sizes: Record<string, number> = { batch: 1, pos: 3, query: 3, key: 3 };
    for (const point of summary.hookPoints) {
      const shape = point.shape.map((size, i) => size ?? sizes[point.axes[i] ?? ""]);
      const seen = point.default
        ? cache.get(model.hookPoint(point.name).name ?? "")
        : model
            .runWithCache(tokens, { namesFilter: [model.hookPoint(point.name)] })[1]
            .values()
            .next().value;
      expect(shape, point.name).toEqual(seen?.shape);
    }
  });

  test("as text shows blocks once", async () => {
    const { code, out } = await hooklens("info", "builtin:tiny");
    expect(code).toBe(0);
    for (const text of [
      "GPT2LMHeadModel, 4 layers × 4 heads",
      "941,824 numbers in 70 weights",
      "blocks.*.attn.hook_z",
      "[batch, pos, head 4, d_head 32]",
      "Hook points (99)",
    ]) {
      expect(out).toContain(text);
    }
    expect(out).not.toContain("blocks.0");
    for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });

  test("points that some blocks lack are not folded", () => {
    const point = (name: string): PointSummary => ({ name, axes: ["pos"], shape: [null], default: true });
    const points = [point("blocks.0.a"), point("blocks.1.a"), point("blocks.1.b"), point("end")];
    expect(foldBlocks(points, 2).map(({ name }) => name)).toEqual(["blocks.*.a", "blocks.1.b", "end"]);
  });

  test("bytes in the nearest unit", () => {
    expect([0, 999, 1000, 3_839_873, 4e9].map(bytesText)).toEqual([
      "0 B",
      "999 B",
      "1.0 kB",
      "3.8 MB",
      "4.0 GB",
    ]);
  });
});

describe("hooklens hooks", () => {
  test.each([
    ["all", [], 99],
    ["a name", ["blocks.1.attn.hook_z"], 1],
    ["a glob", ["blocks.*.attn.hook_pattern"], 4],
    ["an expression", ["/^blocks\\.[01]\\..*RESID/i"], 6],
  ])("%s", async (_, filter, count) => {
    const { code, out } = await hooklens("hooks", "builtin:tiny", ...filter);
    expect(code).toBe(0);
    expect(out.trimEnd().split("\n")).toHaveLength(count);
    const data: PointSummary[] = JSON.parse(
      (await hooklens("hooks", "builtin:tiny", ...filter, "--json")).out,
    );
    expect(data).toHaveLength(count);
  });

  test.each([
    [["hooks", "builtin:tiny", "blocks.0.attn.hook_zz"], /nearest: .*hook_z.* \(unknown_hook\)/],
    [["hooks", "builtin:tiny", "nothing*"], /\(invalid_names_filter\)/],
    [["hooks", "builtin:tiny", "/nothing/"], /\(invalid_names_filter\)/],
    [["hooks", "builtin:tiny", "/(/"], /no regular expression.*\(invalid_names_filter\)/],
    [["hooks"], /missing required argument 'model' \(missing_argument\)/],
    [["info", "/no/such/model"], /\(missing_file\)/],
    [["info"], /\(missing_argument\)/],
  ])("%j is one line with a code, and exit code 1", async (args, expected) => {
    const { code, out, err } = await hooklens(...args);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(expected);
    expect(err).toMatch(/^error: .*\n$/);
  });

  test.each(["info", "hooks"])("%s explains itself", async (command) => {
    const { code, out } = await hooklens(command, "--help");
    expect(code).toBe(0);
    for (const text of ["--json", "Example:", `$ hooklens ${command}`]) expect(out).toContain(text);
  });
});
