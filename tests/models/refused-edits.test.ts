/** Edits of a model that cannot take effect are refused when they are attached, before anything runs. */

import { afterEach, describe, expect, test } from "vitest";
import {
  add,
  type Hook,
  HookedTransformer,
  knockOutEdges,
  ones,
  patchFrom,
  scale,
  tensor,
  zero,
  zeros,
} from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";
import { CONFIG, TOKENS } from "./small.ts";

const model = HookedTransformer.fromConfig(CONFIG);
const local = HookedTransformer.fromConfig({
  ...CONFIG,
  use_local_attn: true,
  window_size: 2,
  attn_types: ["global", "local"],
});
const PATTERN = "blocks.1.attn.hook_pattern";
const SCORES = "blocks.0.attn.hook_attn_scores";
const RESIDUAL = "blocks.0.hook_resid_pre";

afterEach(() => {
  for (const each of [model, local]) {
    expect([...each.listHooks().keys()]).toEqual([]);
    each.resetHooks();
  }
});

describe("refused are", () => {
  test.each<[string, HookedTransformer, string, Hook]>([
    [
      "edges that causality cuts",
      model,
      PATTERN,
      knockOutEdges([
        [0, 1],
        [1, 3],
      ]),
    ],
    ["the same before the softmax", model, SCORES, knockOutEdges([[0, 1]])],
    ["the same from the end", model, PATTERN, knockOutEdges([[-2, -1]])],
    ["edges that leave the window", local, PATTERN, knockOutEdges([[3, 1]])],
    ["edges outside the context", model, PATTERN, knockOutEdges([[16, 0]])],
    ["positions outside the context", model, RESIDUAL, zero().at({ pos: 16 })],
    ["positions before its begin", model, RESIDUAL, zero().at({ pos: -17 })],
    ["ranges outside it", model, RESIDUAL, zero().at({ pos: { start: 16 } })],
    ["queries outside it", model, PATTERN, zero().at({ query: 99 })],
    ["keys outside it", model, PATTERN, zero().at({ key: [0, 99] })],
    ["patches longer than it", model, RESIDUAL, patchFrom(zeros([1, 17, 8]))],
    ["factors that are all one", model, RESIDUAL, scale(ones([8]))],
    ["steering by nothing", model, RESIDUAL, add(zeros([8]))],
  ])("%s", (_, on, at, hook) => {
    expect(codeOf(() => on.addHook(on.hookPoint(at), hook))).toBe("invalid_intervention");
    expect(codeOf(() => on.runWithHooks(TOKENS, { fwdHooks: [[on.hookPoint(at), hook]] }))).toBe(
      "invalid_intervention",
    );
  });
});

test.each<[string, HookedTransformer, string, Hook]>([
  [
    "one edge of several that exists",
    model,
    PATTERN,
    knockOutEdges([
      [0, 1],
      [3, 1],
    ]),
  ],
  ["the edge to itself", model, PATTERN, knockOutEdges([[2, 2]])],
  ["edges within the window", local, PATTERN, knockOutEdges([[3, 2]])],
  ["the same edge in a layer without a window", local, SCORES, knockOutEdges([[3, 1]])],
  ["the last position that there can be", model, RESIDUAL, zero().at({ pos: -4 })],
  ["factors of which one is not one", model, RESIDUAL, scale(tensor([1, 1, 1, 1, 1, 1, 1, 0]))],
])("taken is %s", (_, on, at, hook) => {
  const plain = on.forward(TOKENS);
  const edited = on.runWithHooks(TOKENS, { fwdHooks: [[on.hookPoint(at), hook]] });
  expect(edited.sub(plain).abs().max().item()).toBeGreaterThan(0);
});

test("a vector that is learned may begin as zero", () => {
  const vector = zeros([8], { requiresGrad: true });
  using _scope = model.hooks({ fwdHooks: { [RESIDUAL]: add(vector) } });
  model.forward(TOKENS, { returnType: "loss" }).backward();
  expect(vector.grad?.abs().max().item()).toBeGreaterThan(0);
  _scope.dispose();
});
