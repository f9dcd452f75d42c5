// Hooks on a module of one's own: place hook points, then look at what passes and change it.

import { HookedRootModule, HookPoint, Module, parameter, randn, type Tensor } from "hooklens";

class Layer extends Module {
  w = parameter(randn([8, 8], { seed: 1 }).mul(0.3));
  hookPre = new HookPoint(["batch", "neuron"]);
  hookPost = new HookPoint(["batch", "neuron"]);

  forward(x: Tensor): Tensor {
    return this.hookPost.forward(this.hookPre.forward(x.matmul(this.w)).relu());
  }
}

class Net extends HookedRootModule {
  layers = [new Layer(), new Layer()];

  constructor() {
    super();
    this.setup();
  }

  forward(x: Tensor): Tensor {
    return this.layers.reduce((value, layer) => layer.forward(value), x);
  }
}

const net = new Net();
const x = randn([2, 8], { seed: 2 });

// Names follow from the class, and the compiler knows them: a misspelt one does not compile.
const [plain, cache] = net.runWithCache(x);
for (const [name, value] of cache)
  console.log(`${name}: [${value.axes.join(", ")}] = [${value.shape.join(", ")}]`);

const silenced = net.runWithHooks(x, {
  fwdHooks: { "layers.0.hookPost": (post) => post.at({ neuron: [0, 1, 2, 3] }).fill(0) },
});
console.log(
  `silencing half of layer 0 changes the output by ${plain.sub(silenced).abs().max().item().toFixed(3)}`,
);
// layers.0.hookPre: [batch, neuron] = [2, 8]
// layers.0.hookPost: [batch, neuron] = [2, 8]
// layers.1.hookPre: [batch, neuron] = [2, 8]
// layers.1.hookPost: [batch, neuron] = [2, 8]
// silencing half of layer 0 changes the output by 2.095
