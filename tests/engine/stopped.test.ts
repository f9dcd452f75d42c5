// What ends the engine as WebAssembly, and what must not. A trap cannot be caught inside: after one there is no engine.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  HookedTransformer,
  memory,
  ones,
  setMemoryLimit,
  type Tensor,
  tensor,
  zeros,
} from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";
import { engine, untyped } from "./native-module.ts";

describe("does not end the engine", () => {
  const model = () =>
    HookedTransformer.fromConfig({
      n_layers: 2,
      d_model: 32,
      n_ctx: 16,
      d_head: 8,
      d_vocab: 20,
      act_fn: "gelu",
      seed: 1,
    });

  test("a recursion without end, at whatever depth its last call is", () => {
    const x = ones([2, 2]).requiresGrad_();
    const m = model();
    const calls = {
      add: () => void x.add(1),
      shape: () => void x.add(1).shape,
      data: () => void x.toFloat32Array(),
      forward: () => void m.forward([1, 2, 3]),
      backward: () => m.forward([1, 2, 3], { returnType: "loss" }),
      svd: () => void x.detach().svd(),
      matmul: () => void x.detach().matmul(x.detach()),
    };
    for (const [what, run] of Object.entries(calls)) {
      const dive = (left: number): void => (left === 0 ? void run() : dive(left - 1));
      const deepest = depthOf();
      let failed = 0;
      for (let left = deepest; left > 0; left -= 37) {
        try {
          dive(left);
          break;
        } catch (error) {
          expect(error, what).toBeInstanceOf(RangeError);
          failed++;
        }
      }
      expect(failed, what).toBeGreaterThan(1);
      run();
    }
    const endless = (t: Tensor): Tensor => endless(t.add(1));
    expect(() => endless(x)).toThrow(RangeError);
    expect(x.add(1).toArray()).toEqual([
      [2, 2],
      [2, 2],
    ]);
  });

  test("a proxy that was revoked, a getter that throws", () => {
    const { proxy, revoke } = Proxy.revocable([1], {});
    revoke();
    for (const wrong of [
      proxy,
      {
        get length() {
          throw new TypeError("mine");
        },
      },
    ]) {
      expect(() => engine.call(0, untyped(wrong), [])).toThrow();
      expect(() => engine.call(0, [], [untyped(wrong)])).toThrow();
      expect(() => engine.fromBits(untyped(wrong), "float32", [1], "cpu")).toThrow();
    }
    expect(tensor([1]).add(1).toArray()).toEqual([2]);
  });
});

/** How deep functions of two frames go before the stack is full. */
function depthOf(): number {
  let deepest = 0;
  const dive = (depth: number): void => {
    deepest = depth;
    dive(depth + 1);
  };
  expect(() => dive(0)).toThrow(RangeError);
  return deepest;
}

describe.runIf(engine.name === "wasm")("memory of 4 GiB", () => {
  test("that cannot be had is refused before it is asked for, and the engine goes on", () => {
    const { bytes } = memory();
    const column = ones([2 ** 15, 1]);
    for (const run of [() => zeros([2 ** 30]), () => column.matmul(column.transpose(0, 1))]) {
      expect(codeOf(run)).toBe("invalid_argument");
      expect(run).toThrow(/is too large/);
    }
    setMemoryLimit(bytes + 2 ** 24);
    expect(() => zeros([2 ** 23])).toThrow(/32\.0 MiB/);
    setMemoryLimit(0);
    column.dispose();
    expect(memory().bytes - bytes).toBeLessThan(2 ** 20);
    expect(ones([2]).sum().item()).toBe(2);
  });
});

interface Host {
  connect(invoke: (...args: unknown[]) => unknown, release: (...args: unknown[]) => void): boolean;
  defineFunction(name: string, member: number): void;
  panicked(text: string): void;
  everything(): Record<string, (...args: unknown[]) => unknown>;
}

/** The JavaScript around the instance, around another one. */
async function host(name: string): Promise<Host | null> {
  const snippets = new URL("../../wasm/snippets/", import.meta.url);
  if (!existsSync(snippets)) return null;
  const [folder] = readdirSync(snippets);
  const source = readFileSync(new URL(`${folder}/src/host.js`, snippets), "utf8");
  return import(`data:text/javascript,${encodeURIComponent(source)}//${name}`);
}

const found = await host("trap");

describe.runIf(found !== null)("a trap", () => {
  test("ends the engine: the call and every later one are refused with the last words of Rust", async () => {
    const around = await host("refused");
    if (around === null) throw new Error("there is no engine");
    let calls = 0;
    let releases = 0;
    around.connect(
      () => {
        calls++;
        around.panicked("panicked at src/lib.rs:1: what went wrong");
        throw new Error("unreachable");
      },
      () => void releases++,
    );
    around.defineFunction("work", 0);
    const work = around.everything()["work"];
    for (let i = 0; i < 3; i++) {
      expect(() => work?.(1, 2)).toThrow(
        /^hooklens:.*"code":"internal".*must be started anew.*what went wrong/,
      );
    }
    expect({ calls, releases }).toEqual({ calls: 1, releases: 0 });
  });
});
