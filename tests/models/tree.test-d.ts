// The tree of a transformer is typed: misspelt parts, points and weights do not compile.

import { expectTypeOf, test } from "vitest";
import type {
  HookedRootModule,
  HookedTransformer,
  HookPoint,
  NameOf,
  PointsOf,
  Tensor,
  TransformerBlock,
} from "../../ts/index.ts";

declare const model: HookedTransformer;
declare const layer: number;

test("points have the axes of their names", () => {
  expectTypeOf(model.blocks[2].attn.hook_z).toEqualTypeOf<
    HookPoint<readonly ["batch", "pos", "head", "d_head"]>
  >();
  expectTypeOf(model.hook_embed).toEqualTypeOf<HookPoint<readonly ["batch", "pos", "d_model"]>>();
  model.blocks[11].attn.hook_pattern.addHook((pattern) => {
    expectTypeOf(pattern.axes[3]).toEqualTypeOf<"key">();
  });
  model.addHook(model.blocks[0].mlp.ln.hook_scale, (scale) => {
    expectTypeOf(scale.axes[2]).toEqualTypeOf<"one">();
  });
  model.addHook(model.unembed.hook_out, (logits) => {
    expectTypeOf(logits.axes[2]).toEqualTypeOf<"d_vocab">();
  });
});

test("weights are tensors; a gate may not be there", () => {
  const { attn, mlp, ln1 } = model.blocks[2];
  expectTypeOf(attn.W_Q).toEqualTypeOf<Tensor>();
  expectTypeOf(attn._W_K).toEqualTypeOf<Tensor>();
  expectTypeOf(mlp.W_gate).toEqualTypeOf<Tensor | null>();
  expectTypeOf(ln1.w).toEqualTypeOf<Tensor>();
  expectTypeOf(model.embed.W_E).toEqualTypeOf<Tensor>();
  expectTypeOf(model.pos_embed.W_pos).toEqualTypeOf<Tensor>();
  expectTypeOf(model.ln_final.b).toEqualTypeOf<Tensor>();
  expectTypeOf(model.unembed.W_U).toEqualTypeOf<Tensor>();
});

test("blocks that are chosen at run time", () => {
  expectTypeOf(model.block(layer)).toEqualTypeOf<TransformerBlock>();
  expectTypeOf(model.blocks.at(-1)).toEqualTypeOf<TransformerBlock | undefined>();
  for (const block of model.blocks) expectTypeOf(block.attn.W_O).toEqualTypeOf<Tensor>();
});

test("misspelt names do not compile", () => {
  // @ts-expect-error no such point
  model.blocks[0].attn.hook_zz;
  // @ts-expect-error no such weight
  model.blocks[0].attn.W_X;
  // @ts-expect-error no such part
  model.blocks[0].attention;
  // @ts-expect-error a point of attention, not of the block
  model.blocks[0].hook_z;
  // @ts-expect-error the norm of the MLP has no pattern
  model.blocks[0].ln2.hook_pattern;
  // @ts-expect-error a pattern has no axis pos
  model.blocks[0].attn.hook_pattern.addHook((pattern) => pattern.at({ pos: 0 }).fill(0));
  // @ts-expect-error parts are not replaced
  model.blocks[0].attn = model.blocks[1].attn;
});

test("a model inside a module of one's own keeps its points to itself", () => {
  interface Outer extends HookedRootModule {
    inner: HookedTransformer;
    mid: HookPoint<readonly ["batch"]>;
  }
  expectTypeOf<NameOf<PointsOf<Outer>>>().toEqualTypeOf<"mid">();
});
