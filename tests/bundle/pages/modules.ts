// A page that hooks a module of its own, without a transformer.
import { HookedRootModule, HookPoint, initEngine, parameter, randn, type Tensor } from "hooklens/lazy";

class Toy extends HookedRootModule {
  readonly w = parameter(randn([4, 4]));
  readonly hookMid = new HookPoint();

  constructor() {
    super();
    this.setup();
  }

  override forward(x: Tensor) {
    return this.hookMid.forward(x.matmul(this.w)).relu();
  }
}

await initEngine();
console.log(new Toy().runWithCache(randn([2, 4])).length);
