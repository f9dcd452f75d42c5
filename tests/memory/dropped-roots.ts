// Run by roots.test.ts with --expose-gc: says which forgotten models are collected, and what their hooks still do.

import { setTimeout as pause } from "node:timers/promises";
import {
  HookedRootModule,
  HookedTransformer,
  HookPoint,
  memory,
  parameter,
  type Tensor,
  tensor,
  zero,
} from "../../ts/node.ts";

class Root extends HookedRootModule {
  w = parameter(tensor([2]));
  hook_mid = new HookPoint();
  /** What makes it noticeable if many of these stay. */
  ballast = new Array(1000).fill(0);
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor): Tensor {
    return this.hook_mid.forward(x.mul(this.w)).sum();
  }
}

const CONFIG = {
  n_layers: 1,
  d_model: 8,
  n_ctx: 8,
  d_head: 4,
  n_heads: 2,
  d_mlp: 16,
  d_vocab: 10,
  act_fn: "gelu",
  normalization_type: "LN",
} as const;

async function collect(): Promise<void> {
  for (let i = 0; i < 6; i++) {
    globalThis.gc?.();
    await pause(5);
  }
}

/** Whether what `make` gives is collected once nobody refers to it. */
async function collected(make: () => object): Promise<boolean> {
  const refs = Array.from({ length: 5 }, () => new WeakRef(make()));
  await collect();
  return refs.every((ref) => ref.deref() === undefined);
}

const x = tensor([1, 2]);

function withHooks(dir: "fwd" | "bwd", run: (root: Root) => void): Root {
  const root = new Root();
  // Refers to its root, as hooks do.
  root.addHook("hook_mid", (value) => void (root.training ? value : root.w), { dir });
  root.addHook("hook_mid", zero(), { dir });
  root.addCachingHooks({ inclBwd: true });
  run(root);
  return root;
}

function transformer(run: (model: HookedTransformer) => void): HookedTransformer {
  const model = HookedTransformer.fromConfig(CONFIG);
  model.addHook("blocks.0.hook_resid_pre", (value) => (model.cfg.n_layers > 0 ? value : null));
  model.addHook("blocks.0.hook_resid_pre", (value) => (model.cfg.n_layers > 0 ? value : null), {
    dir: "bwd",
  });
  run(model);
  return model;
}

const report: Record<string, unknown> = {
  "never run": await collected(() => withHooks("fwd", () => {})),
  "run forward": await collected(() => withHooks("fwd", (root) => void root.forward(x))),
  "graph forgotten": await collected(() => withHooks("bwd", (root) => void root.forward(x))),
  "run backward": await collected(() => withHooks("bwd", (root) => root.forward(x).backward())),
  "a single point": await collected(() => {
    const point = new HookPoint();
    point.addHook(() => void point.ctx, { dir: "bwd" });
    point.forward(tensor([1]).requiresGrad_());
    return point;
  }),
  "a transformer": await collected(() => transformer((model) => void model.forward([1, 2]))),
  "a transformer run backward": await collected(() =>
    transformer((model) => model.forward([1, 2], { returnType: "loss" }).backward()),
  ),
};

/** The output of a root that nobody else refers to, whose backward hook counts and doubles. */
const fired: string[] = [];
function orphanedGraph(): { readonly loss: Tensor; readonly leaf: Tensor; readonly root: WeakRef<Root> } {
  const root = new Root();
  const leaf = tensor([1, 2]).requiresGrad_();
  root.addHook(
    "hook_mid",
    (grad, { name }) => {
      fired.push(name);
      return grad.mul(root.w).detach();
    },
    { dir: "bwd" },
  );
  return { loss: root.forward(leaf), leaf, root: new WeakRef(root) };
}

const orphan = orphanedGraph();
await collect();
orphan.loss.backward(null, { retainGraph: true });
report["kept by its graph"] = orphan.root.deref() !== undefined;
await collect();
orphan.loss.backward();
report["fired"] = fired;
report["gradient"] = orphan.leaf.grad?.toArray();
await collect();
report["gone with its graph"] = orphan.root.deref() === undefined;

const before = memory();
for (let i = 0; i < 200; i++) withHooks("bwd", (root) => void root.forward(x));
await collect();
report["tensors left"] = memory().tensors - before.tensors;

console.log(JSON.stringify(report));
