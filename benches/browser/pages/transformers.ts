/** transformers.js on its WebAssembly backend in a page, as it runs any causal language model. */

import { POSITIONS, prompt, type Subject, sampled } from "../workloads.ts";
import { offer, parameter, served, timedAsync } from "./measured.ts";

type CausalModel = (inputs: object) => Promise<{ readonly logits: { readonly data: Float32Array } }>;

/** What is used of it. */
interface Transformers {
  readonly env: {
    readonly version: string;
    allowRemoteModels: boolean;
    allowLocalModels: boolean;
    useBrowserCache: boolean;
    useWasmCache?: boolean;
    localModelPath: string;
    readonly backends: { readonly onnx: { readonly wasm: { numThreads?: number; wasmPaths?: string } } };
  };
  readonly AutoModelForCausalLM: { from_pretrained(name: string, options: object): Promise<CausalModel> };
  readonly Tensor: new (type: string, data: ArrayBufferView, dims: readonly number[]) => object;
}

async function start(): Promise<Subject> {
  const address = served("peers/@huggingface/transformers/dist/transformers.min.js");
  const { env, AutoModelForCausalLM, Tensor }: Transformers = await import(/* @vite-ignore */ address);
  const threads = Number(parameter("threads"));
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.useBrowserCache = false;
  env.useWasmCache = false;
  env.localModelPath = served("");
  env.backends.onnx.wasm.wasmPaths = served(parameter("runtime"));
  env.backends.onnx.wasm.numThreads = threads;
  const model = await AutoModelForCausalLM.from_pretrained("model", { dtype: "fp32", device: "wasm" });
  const ids = BigInt64Array.from(prompt(Number(parameter("vocabulary"))), BigInt);
  const forward = () =>
    model({
      input_ids: new Tensor("int64", ids, [1, POSITIONS]),
      attention_mask: new Tensor("int64", new BigInt64Array(POSITIONS).fill(1n), [1, POSITIONS]),
    });
  return {
    about: `transformers.js ${env.version}, ${threads} thread(s)`,
    run: (workload) => {
      if (workload !== "forward") throw new Error(`no workload '${workload}'`);
      return timedAsync(forward);
    },
    sample: async () => sampled((await forward()).logits.data),
  };
}

offer(start());
