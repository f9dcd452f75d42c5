/** onnxruntime-web's WebAssembly backend in a page: `?graph=` names a file of `model/onnx`, `?threads=` how many it uses. */

import { POSITIONS, PRODUCT, prompt, type Subject, sampled } from "../workloads.ts";
import { offer, parameter, served, timedAsync } from "./measured.ts";

interface OrtTensor {
  readonly data: Float32Array;
  dispose(): void;
}

interface Session {
  run(feeds: object): Promise<Readonly<Record<string, OrtTensor>>>;
}

/** What is used of it. */
interface Ort {
  readonly env: {
    readonly versions: { readonly common: string; readonly web?: string };
    readonly wasm: { numThreads?: number; wasmPaths?: string };
  };
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> };
  readonly Tensor: new (type: string, data: ArrayBufferView, dims: readonly number[]) => object;
}

async function start(): Promise<Subject> {
  const dist = served("peers/onnxruntime-web/dist/");
  const ort: Ort = await import(/* @vite-ignore */ `${dist}ort.wasm.min.mjs`);
  const threads = Number(parameter("threads"));
  ort.env.wasm.wasmPaths = dist;
  ort.env.wasm.numThreads = threads;
  const session = async (name: string) => {
    const response = await fetch(served(`model/onnx/${name}.onnx`));
    return ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()), {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
    });
  };
  const model = await session(parameter("graph"));
  const product = await session("matmul");
  const ids = BigInt64Array.from(prompt(Number(parameter("vocabulary"))), BigInt);
  const x = Float32Array.from({ length: PRODUCT.rows * PRODUCT.inner }, (_, i) => Math.sin(i));
  const forward = () => model.run({ input_ids: new ort.Tensor("int64", ids, [1, POSITIONS]) });
  const all: Readonly<Record<string, () => Promise<unknown>>> = {
    forward,
    matmul: () => product.run({ x: new ort.Tensor("float32", x, [PRODUCT.rows, PRODUCT.inner]) }),
  };
  return {
    about: `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common}, ${threads} thread(s)`,
    run: async (workload) => {
      const run = all[workload];
      if (run === undefined) throw new Error(`no workload '${workload}'`);
      return timedAsync(run);
    },
    sample: async () => {
      const { logits } = await forward();
      if (logits === undefined) throw new Error("no logits");
      return sampled(logits.data);
    },
  };
}

offer(start());
