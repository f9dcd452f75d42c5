// Interventions: edits as data, through the public API.

import { describe, expect, test } from "vitest";
import {
  add,
  clamp,
  HookedRootModule,
  HookPoint,
  Intervention,
  knockOutEdges,
  meanAblate,
  ones,
  patchFrom,
  projectOut,
  scale,
  set,
  type Tensor,
  tensor,
  zero,
} from "../../ts/index.ts";
import { code, values, X } from "./toy.ts";

/** Passes `[batch, pos, d]` on. */
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

const edited = (edit: Intervention, x: Tensor = X(1, 2, 2)) =>
  values(new Line().runWithHooks(x, { fwdHooks: { hook: edit } }));

describe("kinds", () => {
  const cases: readonly (readonly [string, Intervention, unknown])[] = [
    [
      "zero",
      zero(),
      [
        [
          [0, 0],
          [0, 0],
        ],
      ],
    ],
    [
      "zero at a position",
      zero().at({ pos: -1 }),
      [
        [
          [1, 2],
          [0, 0],
        ],
      ],
    ],
    [
      "zero at a list",
      zero().at({ d: [1] }),
      [
        [
          [1, 0],
          [3, 0],
        ],
      ],
    ],
    [
      "zero at a range",
      zero().at({ pos: { start: 1 } }),
      [
        [
          [1, 2],
          [0, 0],
        ],
      ],
    ],
    [
      "zero at a row",
      zero().at({ row: 0 }),
      [
        [
          [0, 0],
          [0, 0],
        ],
      ],
    ],
    [
      "zero narrowed twice",
      zero().at({ pos: 0 }).at({ d: 1 }),
      [
        [
          [1, 0],
          [3, 4],
        ],
      ],
    ],
    [
      "scale",
      scale(10),
      [
        [
          [10, 20],
          [30, 40],
        ],
      ],
    ],
    [
      "scale by a tensor",
      scale(tensor([1, 10])),
      [
        [
          [1, 20],
          [3, 40],
        ],
      ],
    ],
    [
      "add",
      add(tensor([10, 20])).at({ pos: 1 }),
      [
        [
          [1, 2],
          [13, 24],
        ],
      ],
    ],
    [
      "set",
      set(5).at({ d: 0 }),
      [
        [
          [5, 2],
          [5, 4],
        ],
      ],
    ],
    [
      "set to infinity",
      set(Number.NEGATIVE_INFINITY).at({ pos: 0 }),
      [
        [
          [-Infinity, -Infinity],
          [3, 4],
        ],
      ],
    ],
    [
      "clamp",
      clamp(2, 3),
      [
        [
          [2, 2],
          [3, 3],
        ],
      ],
    ],
    [
      "clamp below",
      clamp(2, null),
      [
        [
          [2, 2],
          [3, 4],
        ],
      ],
    ],
    [
      "project out",
      projectOut(tensor([0, 3])),
      [
        [
          [1, 0],
          [3, 0],
        ],
      ],
    ],
    [
      "mean over positions",
      meanAblate(["pos"]),
      [
        [
          [2, 3],
          [2, 3],
        ],
      ],
    ],
    [
      "mean given",
      meanAblate(tensor([7, 8])),
      [
        [
          [7, 8],
          [7, 8],
        ],
      ],
    ],
    [
      "patch",
      patchFrom(X(1, 2, 2).mul(100)).at({ pos: 0 }),
      [
        [
          [100, 200],
          [3, 4],
        ],
      ],
    ],
  ];

  test.each(cases)("%s", (_name, edit, expected) => {
    expect(edited(edit)).toEqual(expected);
  });

  test.each(cases.filter(([, { tensors }]) => tensors.length === 0))(
    "%s survives JSON",
    (_name, edit, expected) => {
      expect(edited(Intervention.fromJSON(JSON.parse(JSON.stringify(edit))))).toEqual(expected);
    },
  );

  test("patch from the cache of another run, under the point's name", () => {
    const line = new Line();
    const [, cache] = line.runWithCache(X(1, 2, 2).mul(10));
    expect(edited(patchFrom(cache).at({ pos: 1 }))).toEqual([
      [
        [1, 2],
        [30, 40],
      ],
    ]);
  });

  test("knock out edges of a pattern", () => {
    class Pattern extends HookedRootModule {
      hook_pattern = new HookPoint(["batch", "head", "query", "key"]);
      constructor() {
        super();
        this.setup();
      }
      forward(x: Tensor): Tensor {
        return this.hook_pattern.forward(x);
      }
    }
    const run = (edit: Intervention) =>
      values(new Pattern().runWithHooks(ones([1, 1, 2, 2]).mul(0.5), { fwdHooks: { hook_pattern: edit } }));
    expect(run(knockOutEdges([[1, 0]]))).toEqual([
      [
        [
          [0.5, 0.5],
          [0, 0.5],
        ],
      ],
    ]);
    expect(run(knockOutEdges([[1, 0]], { renormalise: true }))).toEqual([
      [
        [
          [0.5, 0.5],
          [0, 1],
        ],
      ],
    ]);
  });

  test("in backward edit the gradient", () => {
    const line = new Line();
    const x = X(1, 2, 2).requiresGrad_();
    using _scope = line.hooks({ bwdHooks: { hook: scale(3).at({ pos: 0 }) } });
    line.forward(x).sum().backward();
    expect(x.grad?.toArray()).toEqual([
      [
        [3, 3],
        [1, 1],
      ],
    ]);
  });
});

describe("what cannot take effect is refused when it is attached", () => {
  test.each([
    ["an axis that the point lacks", zero().at({ head: 1 })],
    ["nothing selected", zero().at({ pos: [] })],
    ["a factor of 1", scale(1)],
    ["no bound", clamp(null, null)],
    ["edges where there is no attention", knockOutEdges([[0, 0]])],
    ["too many axes", add(ones([1, 1, 1, 2]))],
    ["unknown fields", Intervention.fromJSON({ kind: "zero", strength: 3 })],
  ])("%s", (_name, edit) => {
    const line = new Line();
    expect(code(() => line.addHook("hook", edit))).toBe("invalid_intervention");
    expect(line.listHooks().size).toBe(0);
  });

  test("a source of patches that is none", () => {
    for (const nonsense of [{}, null, new Map(), "cache"]) {
      const patch = () => patchFrom(nonsense as unknown as Tensor);
      expect(patch).toThrow(/^patchFrom: expected a Tensor or a cache/);
    }
  });

  test("what is no intervention", () => {
    for (const nonsense of [null, 3, "zero", {}, { kind: "explode" }]) {
      expect(code(() => Intervention.fromJSON(nonsense))).toBe("invalid_intervention");
    }
    expect(code(() => Intervention.fromJSON({ kind: "patch", source: { tensor: 0 } }))).toBe(
      "invalid_intervention",
    );
    expect(code(() => scale(Number.NaN))).toBe("invalid_intervention");
    expect(code(() => projectOut(3 as unknown as Tensor))).toBe("invalid_intervention");
  });

  test("positions beyond the activation, when it passes", () => {
    expect(code(() => edited(zero().at({ pos: 9 })))).toBe("invalid_intervention");
  });
});

test("selections are given to at, and only there", () => {
  const misplaced = zero as (selection: object) => unknown;
  expect(() => misplaced({ head: 1 })).toThrow(/zero\(\)\.at/);
  for (const selection of [undefined, null, 3]) {
    expect(() => zero().at(selection as never)).toThrow(/\{ head: 2 \}/);
  }
});
