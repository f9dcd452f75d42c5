// What generate gives follows from what it is given and asked for.

import { expectTypeOf, test } from "vitest";
import type {
  GeneratedWithLogits,
  GenerationStep,
  HookedTransformer,
  KeyValueCache,
  Tensor,
  Tokens,
} from "../../ts/index.ts";

declare const model: HookedTransformer;
declare const ids: Tensor;

test("the result has the form of the input, or that which is asked for", () => {
  expectTypeOf(model.generate("text")).resolves.toEqualTypeOf<string>();
  expectTypeOf(model.generate(["a", "b"])).resolves.toEqualTypeOf<string[]>();
  expectTypeOf(model.generate([1, 2])).resolves.toEqualTypeOf<Tokens>();
  expectTypeOf(model.generate([[1], [2]])).resolves.toEqualTypeOf<Tokens>();
  expectTypeOf(model.generate(ids, { temperature: 0 })).resolves.toEqualTypeOf<Tokens>();
  expectTypeOf(model.generate("text", { returnType: "tokens" })).resolves.toEqualTypeOf<Tokens>();
  expectTypeOf(model.generate([1, 2], { returnType: "str" })).resolves.toEqualTypeOf<string>();
  expectTypeOf(model.generate([[1], [2]], { returnType: "str" })).resolves.toEqualTypeOf<string[]>();
  expectTypeOf(model.generate(ids, { returnType: "str" })).resolves.toEqualTypeOf<string[]>();
  expectTypeOf(model.generate("text", { outputLogits: true })).resolves.toEqualTypeOf<
    GeneratedWithLogits<string>
  >();
  // @ts-expect-error rows go on from their last token
  void model.generate("text", { paddingSide: "right" });
  // @ts-expect-error no such option
  void model.generate("text", { top_k: 3 });
});

test("a stream gives steps", async () => {
  for await (const step of model.generateStream(["a", "b"], { topP: 0.9 })) {
    expectTypeOf(step).toEqualTypeOf<GenerationStep>();
    expectTypeOf(step.finished).toEqualTypeOf<readonly ("eos" | "stop" | "length" | null)[]>();
  }
  // @ts-expect-error a stream gives steps, in no other form
  model.generateStream("text", { returnType: "str" });
  expectTypeOf(model.createKvCache({ batchSize: 2 })).toEqualTypeOf<KeyValueCache>();
});
