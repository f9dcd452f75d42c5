import { afterEach, describe, expect, test } from "vitest";
import { keep, memory, setMemoryLimit, type Tensor, tensor, tidy, zeros } from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";

const MIB = 2 ** 20;

describe("dispose", () => {
  test("ends the tensor, once, and every later use says so", () => {
    const t = tensor([1, 2]);
    const other = t.share();
    t.dispose();
    t.dispose();
    expect(t.isDisposed).toBe(true);
    expect(String(t)).toBe("Tensor(disposed)");
    const uses: (() => unknown)[] = [
      () => t.add(1),
      () => other.add(t),
      () => t.shape,
      () => t.dtype,
      () => t.axes && t.rank,
      () => t.toArray(),
      () => t.toFloat32Array(),
      () => t.item(),
      () => t.backward(),
      () => t.grad,
      () => t.at(0).fill(1),
      () => other.get(t),
    ];
    for (const use of uses) expect(codeOf(use)).toBe("disposed");
    expect(other.toArray()).toEqual([1, 2]);
  });

  test("using ends it with the block, also after a throw", () => {
    let seen: Tensor | undefined;
    const failing = () => {
      using t = tensor([1]);
      seen = t;
      throw new RangeError("mine");
    };
    expect(failing).toThrow(RangeError);
    expect(seen?.isDisposed).toBe(true);
  });

  test("frees memory at once", () => {
    const before = memory().bytes;
    const t = zeros([MIB]);
    expect(memory().bytes - before).toBeGreaterThanOrEqual(4 * MIB);
    t.dispose();
    expect(memory().bytes - before).toBeLessThan(MIB);
  });
});

describe("tidy", () => {
  test("keeps what is returned, in arrays, objects, maps and sets, and frees the rest", () => {
    let rest: Tensor[] = [];
    const t = tensor([1, 2]);
    const kept = tidy(() => {
      rest = [t.add(1), t.mul(2)];
      return { list: [t.add(1), [t.sub(1)]], map: new Map([["a", t.neg()]]), set: new Set([t.exp()]), n: 1 };
    });
    expect(rest.map((r) => r.isDisposed)).toEqual([true, true]);
    const [first, [second] = []] = kept.list as [Tensor, Tensor[]];
    const all = [first, second, kept.map.get("a"), ...kept.set];
    expect(all.map((r) => r?.isDisposed)).toEqual([false, false, false, false]);
    expect(t.isDisposed).toBe(false);
  });

  test("keep lets a tensor outlive all scopes", () => {
    let inner: Tensor | undefined;
    tidy(() => {
      tidy(() => {
        inner = keep(tensor([1]).add(1));
      });
    });
    expect(inner?.toArray()).toEqual([2]);
  });

  test("nested scopes hand what they return to the scope around them", () => {
    let inner: Tensor | undefined;
    tidy(() => {
      inner = tidy(() => tensor([1]));
      expect(inner.isDisposed).toBe(false);
    });
    expect(inner?.isDisposed).toBe(true);
  });

  test("frees after a throw, and the throw comes out as it was", () => {
    let made: Tensor | undefined;
    const thrown = new Error("mine");
    const failing = () =>
      tidy(() => {
        made = tensor([1]);
        throw thrown;
      });
    expect(failing).toThrow(thrown);
    expect(made?.isDisposed).toBe(true);
  });

  test("a cycle in what is returned is no trap", () => {
    const loop: { self?: unknown; t?: Tensor } = {};
    tidy(() => {
      loop.t = tensor([1]);
      loop.self = loop;
      return loop;
    });
    expect(loop.t?.isDisposed).toBe(false);
  });

  test("an async body is refused and leaves no unhandled rejection", async () => {
    expect(codeOf(() => tidy(async () => tensor([1]).add(1)))).toBe("invalid_argument");
    let late: Tensor | undefined;
    const body = async () => {
      const t = tensor([1]);
      await Promise.resolve();
      late = t.add(1);
    };
    expect(codeOf(() => tidy(body))).toBe("invalid_argument");
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(late).toBeUndefined();
    // No scope stayed open.
    const after = tensor([1]);
    tidy(() => 0);
    expect(after.isDisposed).toBe(false);
  });

  test("counts of live tensors come back to where they were", () => {
    const before = memory().tensors;
    tidy(() => {
      for (let i = 0; i < 10; i++) tensor([i]).add(1);
      expect(memory().tensors).toBeGreaterThanOrEqual(before + 20);
    });
    expect(memory().tensors).toBeLessThanOrEqual(before);
  });
});

describe("setMemoryLimit", () => {
  afterEach(() => setMemoryLimit(0));

  test("turns running out into an error that says what to do, and the library goes on", () => {
    setMemoryLimit(memory().bytes + 64 * MIB);
    const held: Tensor[] = [];
    const fill = () => {
      for (let i = 0; i < 100; i++) held.push(zeros([MIB]).add(1));
    };
    expect(codeOf(fill)).toBe("memory_limit");
    expect(fill).toThrow(/tidy/);
    expect(held.length).toBeGreaterThan(5);
    for (const t of held) t.dispose();
    expect(zeros([MIB]).size).toBe(MIB);
  });

  test("refuses what is no number of bytes", () => {
    expect(codeOf(() => setMemoryLimit(-1))).toBe("invalid_argument");
    expect(codeOf(() => setMemoryLimit(Number.NaN))).toBe("invalid_argument");
    expect(codeOf(() => setMemoryLimit(1e300))).toBe("invalid_argument");
  });
});
