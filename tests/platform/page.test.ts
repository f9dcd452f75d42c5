import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ActivationCache,
  HookedRootModule,
  HookedTransformer,
  HookPoint,
  loadInterventions,
  parameter,
  saveInterventions,
  Tokenizer,
  zero,
  zeros,
} from "../../ts/index.ts";
import { browserPlatform } from "../../ts/platform/browser.ts";
import { nodePlatform } from "../../ts/platform/node.ts";
import { installPlatform } from "../../ts/platform/platform.ts";

class Toy extends HookedRootModule {
  readonly w = parameter(zeros([2]));
  readonly hookMid = new HookPoint();

  constructor() {
    super();
    this.setup();
  }

  override forward() {
    return this.hookMid.forward(this.w);
  }
}

describe("in a page", () => {
  beforeAll(() => installPlatform(browserPlatform));
  afterAll(() => installPlatform(nodePlatform));

  test.each<readonly [string, () => Promise<unknown>]>([
    ["saveInterventions", () => saveInterventions("edits.json", { hookMid: zero() })],
    ["loadInterventions", () => loadInterventions("edits.json")],
    ["Tokenizer.fromDirectory", () => Tokenizer.fromDirectory("gpt2")],
    ["Module.save", () => new Toy().save("weights.safetensors")],
    ["Module.load", () => new Toy().load("weights.safetensors")],
    ["ActivationCache.save", saveCache],
    ["ActivationCache.load", () => ActivationCache.load("cache.safetensors")],
  ])("%s says that there are no files, and what to do instead", async (_, run) => {
    await expect(run()).rejects.toMatchObject({
      code: "no_file_system",
      message: expect.stringMatching(/ takes a path, and a page has no file system: .{20}/),
    });
  });

  test("a run in pieces lets others have their turn", async () => {
    const model = HookedTransformer.fromConfig({
      n_layers: 4,
      d_model: 8,
      n_ctx: 8,
      d_head: 4,
      d_vocab: 10,
      act_fn: "gelu",
    });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 0);
    for (let i = 0; i < 50; i++) await model.forwardAsync([1, 2, 3]);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
    const expected = model.forward([1, 2, 3]).toArray(3);
    expect((await model.forwardAsync([1, 2, 3])).toArray(3)).toEqual(expected);
  });
});

function saveCache(): Promise<void> {
  const model = HookedTransformer.fromConfig({
    n_layers: 1,
    d_model: 8,
    n_ctx: 8,
    d_head: 4,
    d_vocab: 10,
    act_fn: "gelu",
  });
  return model.runWithCache([1, 2])[1].save("cache.safetensors");
}
