// Whatever a hook throws, wherever, comes out as the same value; hooks, levels and caches are as before; the next call
// works.

import { describe, expect, test } from "vitest";
import { HooklensError, type Tensor } from "../../ts/index.ts";
import { counts, leaf, Toy, thrown, values, X } from "./toy.ts";

const THROWN: readonly unknown[] = [
  new Error("boom"),
  new RangeError("range", { cause: 1 }),
  new HooklensError("invalid_argument", "from a hook"),
  Object.freeze({ plain: "object" }),
  "text",
  42,
  undefined,
  null,
  Symbol("sign"),
];

/** Places in which user code runs: each calls `boom` there. */
const PLACES: Readonly<Record<string, (toy: Toy, boom: () => never) => unknown>> = {
  "a forward hook": (toy, boom) => toy.runWithHooks(X(1, 2), { fwdHooks: { hook_b: boom } }),
  "a forward hook behind others": (toy, boom) =>
    toy.runWithHooks(X(1, 2), {
      fwdHooks: [
        ["hook_a", (t) => t.mul(2)],
        ["hook_a", boom],
      ],
    }),
  "a hook of a hand-held scope": (toy, boom) => {
    using _scope = toy.hooks({ fwdHooks: { hook_a: boom } });
    return toy.forward(X(1, 2));
  },
  "a nested scope": (toy, boom) => {
    using _outer = toy.hooks({ fwdHooks: { hook_a: (t) => t.add(1) } });
    using _inner = toy.hooks({ fwdHooks: { hook_a: boom } });
    return toy.forward(X(1, 2));
  },
  "the body of a scope": (toy, boom) => {
    using _scope = toy.hooks({ fwdHooks: { hook_a: () => {} } });
    return boom();
  },
  "a hook while caching": (toy, boom) => {
    using _scope = toy.hooks({ fwdHooks: { hook_b: boom } });
    return toy.runWithCache(X(1, 2));
  },
  "a hook that runs a model": (toy, boom) =>
    toy.runWithHooks(X(1, 2), {
      fwdHooks: { hook_a: () => void new Toy().runWithHooks(X(1, 2), { fwdHooks: { hook_b: boom } }) },
    }),
  "a backward hook": (toy, boom) => {
    using _scope = toy.hooks({ bwdHooks: { hook_a: boom } });
    return toy.forward(leaf(1, 2), { total: true }).backward();
  },
  "a backward hook while gradients are cached": (toy, boom) => {
    using _scope = toy.hooks({ bwdHooks: { hook_a: boom } });
    return toy.runWithCache(leaf(1, 2), { total: true, inclBwd: true });
  },
  "a backward pass inside a hook": (toy, boom) =>
    toy.runWithHooks(X(1, 2), {
      fwdHooks: {
        hook_b: () => {
          using _scope = toy.hooks({ bwdHooks: { hook_a: boom } });
          const inner = leaf(1, 2);
          toy.hook_a.forward(inner).sum().backward();
        },
      },
    }),
  "a names filter": (toy, boom) => toy.runWithCache(X(1, 2), { namesFilter: boom }),
  "a predicate in a list of hooks": (toy, boom) =>
    toy.runWithHooks(X(1, 2), {
      fwdHooks: [
        ["hook_a", () => {}],
        [boom, () => {}],
      ],
    }),
  "a predicate of addHook": (toy, boom) => toy.addHook(boom, () => {}),
  "a conversion": (toy, boom) => {
    toy.hook_a.enableReshape({ convert: boom, revert: (t) => t });
    try {
      return toy.runWithHooks(X(1, 2), { fwdHooks: { hook_a: () => {} } });
    } finally {
      toy.hook_a.enableReshape(null);
    }
  },
  "the way back of a conversion": (toy, boom) => {
    toy.hook_a.enableReshape({ convert: (t) => t, revert: boom });
    try {
      return toy.runWithHooks(X(1, 2), { fwdHooks: { hook_a: (t) => t } });
    } finally {
      toy.hook_a.enableReshape(null);
    }
  },
  "forward itself": (toy, boom) => {
    const original = toy.lin.forward;
    toy.lin.forward = boom;
    try {
      return toy.runWithCache(X(1, 2));
    } finally {
      toy.lin.forward = original;
    }
  },
  checkHooksToAdd: (toy, boom) => {
    toy.checkHooksToAdd = boom;
    try {
      return toy.runWithHooks(X(1, 2), { fwdHooks: { hook_a: () => {} } });
    } finally {
      Reflect.deleteProperty(toy, "checkHooksToAdd");
    }
  },
};

describe.each(Object.entries(PLACES))("thrown in %s", (_place, run) => {
  test.each(THROWN.map((value) => [String(value), value]))("%s comes out the same", (_name, value) => {
    const toy = new Toy();
    const permanent = toy.addPermaHook("hook_b", () => {});
    const before = counts(toy);
    const boom = (): never => {
      throw value;
    };
    expect(
      Object.is(
        thrown(() => run(toy, boom)),
        value,
      ),
    ).toBe(true);
    expect(counts(toy)).toEqual(before);
    expect(toy.contextLevel).toBe(0);
    expect(toy.isCaching).toBe(false);
    expect(values(toy.forward(X(1, 2)))).toEqual([[3, 5]]);
    const [, cache] = toy.runWithCache(leaf(1, 2), { total: true, inclBwd: true });
    expect([...cache.keys()]).toEqual(["hook_a", "hook_b", "hook_b_grad", "hook_a_grad"]);
    for (const handle of permanent) handle.remove();
  });
});

test("an error keeps the stack of the hook that threw it", () => {
  function thrower(_t: Tensor): never {
    throw new Error("with stack");
  }
  const error = thrown(() => new Toy().runWithHooks(X(1, 1), { fwdHooks: { hook_a: thrower } }));
  expect(error instanceof Error ? error.stack : "").toContain("thrower");
});

test("a throw in backward leaves gradients as they were", () => {
  const toy = new Toy();
  const x = leaf(1, 2);
  const boom = new Error("boom");
  {
    using _scope = toy.hooks({
      bwdHooks: {
        hook_a: () => {
          throw boom;
        },
      },
    });
    const out = toy.forward(x, { total: true });
    expect(thrown(() => out.backward())).toBe(boom);
  }
  expect(x.grad).toBeNull();
  toy.forward(x, { total: true }).backward();
  expect(x.grad?.toArray()).toEqual([[2, 2]]);
});

test("a hook that throws after an await is none: hooks are synchronous", () => {
  const toy = new Toy();
  const late = async () => {
    await Promise.resolve();
  };
  // @ts-expect-error the compiler knows too
  expect(thrown(() => toy.runWithHooks(X(1, 1), { fwdHooks: { hook_a: late } }))).toMatchObject({
    code: "hook_result",
  });
});
