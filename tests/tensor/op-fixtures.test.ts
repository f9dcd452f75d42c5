/**
 * Every case of the op fixtures through the public API: values, dtypes, shapes and gradients at the stated tolerance,
 * and the cases that must fail. `HOOKLENS_GOLDEN` points at another folder of the same form, `HOOKLENS_TEST_DEVICE` at
 * another device. `optional` cases are not left out.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HooklensError, noGrad, type Tensor, tensor, tidy, zeros } from "../../ts/index.ts";
import { TEST_DEVICE } from "../support/device.ts";
import { GOLDEN, readSafetensors } from "../support/golden.ts";
import { type Attrs, callOp, OP_CALLS } from "../support/op-calls.ts";

interface Input {
  readonly key: string;
  readonly dtype: "float32" | "int64" | "bool";
  readonly shape: readonly number[];
  readonly prep?: readonly { readonly op: string; readonly attrs: Attrs }[];
}

interface Case {
  readonly id: string;
  readonly op: string;
  readonly attrs: Attrs;
  readonly inputs: readonly Input[];
}

interface GoodCase extends Case {
  readonly outputs: readonly Input[];
  readonly weights?: readonly (string | null)[];
  readonly grads:
    | readonly { readonly input: number; readonly key?: string; readonly none?: boolean }[]
    | null;
  readonly tol: Readonly<Record<string, { readonly rtol: number; readonly atol: number }>>;
  readonly signed_zero?: boolean;
  readonly backward_passes?: number;
}

interface FailCase extends Case {
  readonly error: { readonly kind: string; readonly words: string };
}

interface Step {
  readonly op: string;
  readonly in: readonly string[];
  readonly out: readonly string[];
  readonly attrs?: Attrs;
  readonly no_grad?: boolean;
}

const fixtures: { cases: GoodCase[]; fail_cases: FailCase[] } = JSON.parse(
  readFileSync(join(GOLDEN, "ops", "ops.json"), "utf8"),
);
const stored = readSafetensors("ops", "ops.safetensors");

function load(key: string, dtype: Input["dtype"], requiresGrad = false): Tensor {
  const found = stored.get(key);
  if (found === undefined) throw new Error(`the fixture lacks '${key}'`);
  const { bytes, shape } = found;
  const options = { shape, device: TEST_DEVICE };
  if (dtype === "float32") return tensor(new Float32Array(bytes.buffer), { ...options, requiresGrad });
  if (dtype === "int64") return tensor(new BigInt64Array(bytes.buffer), options);
  return tensor(bytes, { ...options, dtype: "bool" });
}

function leavesOf(c: Case, requiresGrad: boolean): Tensor[] {
  return c.inputs.map((input) => load(input.key, input.dtype, requiresGrad && input.dtype === "float32"));
}

/** What `prep` makes of the stored inputs: the same values, not contiguous. */
function prepared(c: Case, leaves: readonly Tensor[]): Tensor[] {
  return leaves.map((leaf, i) =>
    (c.inputs[i]?.prep ?? []).reduce((x, { op, attrs }) => callOp(op, [x], attrs)[0] ?? x, leaf),
  );
}

function runProgram(attrs: Attrs, inputs: readonly Tensor[]): Tensor[] {
  const values = new Map(inputs.map((input, i) => [`in${i}`, input]));
  const value = (name: string): Tensor => {
    const found = values.get(name);
    if (found === undefined) throw new Error(`the program uses '${name}' before it is made`);
    return found;
  };
  for (const step of attrs["steps"] as readonly Step[]) {
    const run = () => callOp(step.op, step.in.map(value), step.attrs ?? {});
    const outputs = step.no_grad ? noGrad(run) : run();
    step.out.forEach((name, i) => {
      const output = outputs[i];
      if (output) values.set(name, output.device === TEST_DEVICE ? output : output.to(TEST_DEVICE));
    });
  }
  return (attrs["returns"] as readonly string[]).map(value);
}

function runCase(c: Case, inputs: readonly Tensor[]): readonly Tensor[] {
  return c.op === "program" ? runProgram(c.attrs, inputs) : callOp(c.op, inputs, c.attrs);
}

/** The worst element, in words, or null if all are within tolerance. */
function mismatch(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tol: { rtol: number; atol: number },
  signedZero: boolean,
): string | null {
  if (got.length !== want.length) return `${got.length} elements instead of ${want.length}`;
  for (let i = 0; i < want.length; i++) {
    const [g, w] = [got[i] as number, want[i] as number];
    const near = Math.abs(g - w) <= tol.atol + tol.rtol * Math.abs(w);
    const same = Object.is(g, w) || (Number.isNaN(g) && Number.isNaN(w)) || g === w;
    if (!(same || near)) return `element ${i} is ${g} instead of ${w} (rtol ${tol.rtol}, atol ${tol.atol})`;
    if (signedZero && w === 0 && Object.is(g, -0) !== Object.is(w, -0))
      return `element ${i} has the wrong sign of zero`;
  }
  return null;
}

const EXACT = { rtol: 0, atol: 0 };

function checkOutput(c: GoodCase, i: number, output: Tensor | undefined): void {
  const want = c.outputs[i];
  const bytes = stored.get(want?.key ?? "")?.bytes;
  if (output === undefined || want === undefined || bytes === undefined)
    throw new Error(`output ${i} is missing`);
  expect({ dtype: output.dtype, shape: output.shape }).toEqual({ dtype: want.dtype, shape: want.shape });
  if (want.dtype === "int64") {
    expect(output.toBigInt64Array()).toEqual(new BigInt64Array(bytes.buffer));
  } else if (want.dtype === "bool") {
    expect(mismatch(output.toFloat32Array(), bytes, EXACT, false)).toBeNull();
  } else {
    const tol = c.tol[`out${i}`] ?? EXACT;
    const wanted = new Float32Array(bytes.buffer);
    expect(mismatch(output.toFloat32Array(), wanted, tol, c.signed_zero ?? false), `output ${i}`).toBeNull();
  }
}

/** The fixtures' loss: the float outputs, weighted and summed. Outputs cut off from the graph add nothing. */
function backward(c: GoodCase, outputs: readonly Tensor[]): void {
  const terms = outputs.flatMap((output, i) => {
    const key = c.weights?.[i];
    return key && output.requiresGrad ? [output.mul(load(key, "float32")).sum()] : [];
  });
  const [first, ...rest] = terms;
  if (first === undefined) throw new Error("no output requires a gradient");
  rest.reduce((sum, term) => sum.add(term), first as Tensor).backward();
}

function checkGradients(c: GoodCase, leaves: readonly Tensor[]): void {
  for (const { input, key, none } of c.grads ?? []) {
    const leaf = leaves[input];
    if (leaf === undefined) throw new Error(`input ${input} is missing`);
    const grad = leaf.grad;
    const bytes = key ? stored.get(key)?.bytes : undefined;
    if (none || bytes === undefined) {
      expect(none, `the fixture lacks the gradient of input ${input}`).toBe(true);
      if (grad) expect(grad.ne(0).any().item()).toBe(false);
      continue;
    }
    const shape = leaf.shape;
    // No gradient and a gradient of no elements, or of zeros only, say the same where nothing flowed.
    const got = grad ?? zeros(shape);
    expect(got.shape, `gradient of input ${input}`).toEqual(shape);
    const tol = c.tol[`grad${input}`] ?? EXACT;
    expect(
      mismatch(got.toFloat32Array(), new Float32Array(bytes.buffer), tol, false),
      `gradient ${input}`,
    ).toBeNull();
  }
}

const ops = [...new Set(fixtures.cases.map((c) => c.op))];

describe.each(ops)("%s", (op) => {
  test.each(fixtures.cases.filter((c) => c.op === op))("$id", (c) => {
    tidy(() => {
      const leaves = leavesOf(c, c.grads !== null);
      for (let pass = 0; pass < (c.backward_passes ?? 1); pass++) {
        const outputs = runCase(c, prepared(c, leaves));
        expect(outputs.length).toBe(c.outputs.length);
        outputs.forEach((output, i) => {
          checkOutput(c, i, output);
        });
        if (c.grads?.some((g) => !g.none)) backward(c, outputs);
      }
      checkGradients(c, leaves);
    });
  });

  test("is in the table of calls", () => {
    expect(op === "program" || op in OP_CALLS).toBe(true);
  });
});

describe("must fail", () => {
  test.each(fixtures.fail_cases)("$id: $error.words", (c) => {
    tidy(() => {
      const inputs = prepared(c, leavesOf(c, c.attrs["requires_grad"] === true));
      const run = (): unknown => {
        if (c.op !== "backward") return runCase(c, inputs);
        const of = c.attrs["of"] as { op: string; attrs: Attrs };
        const [result] = callOp(of.op, inputs, of.attrs);
        return result?.backward();
      };
      let thrown: unknown = null;
      try {
        run();
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(HooklensError);
      expect((thrown as HooklensError).code).toBe(c.error.kind);
    });
    // Whatever failed, the library goes on working.
    expect(tensor([1, 2]).add(1).toArray()).toEqual([2, 3]);
  });
});
