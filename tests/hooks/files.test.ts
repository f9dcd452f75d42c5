// Interventions and the state of modules in files.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  HookedRootModule,
  HookPoint,
  loadInterventions,
  ones,
  parameter,
  patchFrom,
  saveInterventions,
  scale,
  type Tensor,
  tensor,
  zeros,
} from "../../ts/index.ts";
import { values, X } from "./toy.ts";

const folder = mkdtempSync(join(tmpdir(), "hooklens-hooks-"));
afterAll(() => rmSync(folder, { recursive: true }));

class Line extends HookedRootModule {
  hook = new HookPoint(["batch", "pos", "d"]);
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor): Tensor {
    return this.hook.forward(x);
  }
}

class Net extends HookedRootModule {
  w = parameter(ones([2, 2]));
  b = parameter(zeros([2]));
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor): Tensor {
    return x.matmul(this.w).add(this.b);
  }
}

describe("interventions in files", () => {
  test("keep their tensors", async () => {
    const path = join(folder, "edits.json");
    const [, cache] = new Line().runWithCache(X(1, 2, 2).mul(10));
    await saveInterventions(path, { hook: [patchFrom(cache).at({ pos: 1 }), scale(tensor([1, 2]))] });
    const loaded = await loadInterventions(path);
    expect(values(new Line().runWithHooks(X(1, 2, 2), { fwdHooks: { hook: loaded["hook"] ?? [] } }))).toEqual(
      [
        [
          [1, 4],
          [30, 80],
        ],
      ],
    );
  });

  test("that are none are refused", async () => {
    const write = (name: string, text: string) => {
      const path = join(folder, name);
      writeFileSync(path, text);
      return path;
    };
    await expect(loadInterventions(join(folder, "absent.json"))).rejects.toMatchObject({
      code: "missing_file",
    });
    for (const [name, text] of [
      ["a.json", "{"],
      ["b.json", "[]"],
      ["c.json", '{"interventions":{"hook":3}}'],
      ["d.json", '{"interventions":{"hook":[{"kind":"add","value":{"tensor":0},"tensors":["x"]}]}}'],
    ] as const) {
      await expect(loadInterventions(write(name, text))).rejects.toMatchObject({
        code: expect.stringMatching(/_file$/),
      });
    }
  });
});

describe("the state of a module", () => {
  test("goes to a file and back", async () => {
    const [from, to] = [new Net(), new Net()];
    from.w.assign_(ones([2, 2]).mul(5));
    const path = join(folder, "net.safetensors");
    await from.save(path);
    await to.load(path);
    expect(values(to.forward(ones([1, 2])))).toEqual(values(from.forward(ones([1, 2]))));
    expect(to.stateDict().size).toBe(2);
  });

  test("in files that are none is refused", async () => {
    const net = new Net();
    await expect(net.load(join(folder, "absent.safetensors"))).rejects.toMatchObject({
      code: "missing_file",
    });
    const path = join(folder, "text.safetensors");
    writeFileSync(path, "not a safetensors file");
    await expect(net.load(path)).rejects.toMatchObject({ code: "invalid_file" });
  });
});
