import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { engineInfo } from "../../ts/engine/current.ts";
import type {
  Engine,
  EngineCache,
  EngineGeneration,
  EngineKvCache,
  EngineLoading,
  EngineModel,
  EngineRegistry,
  EngineRun,
  EngineTensor,
  EngineUpload,
} from "../../ts/engine/engine.ts";
import { loadNative } from "../../ts/engine/native.ts";
import type { EngineModule } from "../../ts/engine/wire.ts";
import { loadWasm } from "../../ts/platform/start-node.ts";
import { engine, native, wasmModule } from "./native-module.ts";

// The compiler refuses these tables if a member of the interface is missing or too many; the tests compare them with
// what the engines really have.
type Members<T> = Readonly<Record<keyof T, true>>;

const FUNCTIONS: Members<EngineModule> = {
  ops: true,
  call: true,
  fromBits: true,
  parameter: true,
  setGradEnabled: true,
  setTrampoline: true,
  createRegistry: true,
  createCache: true,
  startLoading: true,
  startUpload: true,
  actName: true,
  createModel: true,
  readTensors: true,
  writeTensors: true,
  decodeTensors: true,
  encodeTensors: true,
  gradients: true,
  liveTensors: true,
  liveBytes: true,
  setMemoryLimit: true,
  engineVersion: true,
  errorCodes: true,
  proposeMemoryLimit: true,
};

const TENSOR: Members<EngineTensor> = {
  shape: true,
  dtype: true,
  device: true,
  requiresGrad: true,
  isLeaf: true,
  gradFn: true,
  isDisposed: true,
  toBits: true,
  requiringGrad: true,
  detach: true,
  grad: true,
  setGrad: true,
  retainGrad: true,
  assign: true,
  backward: true,
  to: true,
  display: true,
  share: true,
  dispose: true,
};

const REGISTRY: Members<EngineRegistry> = {
  points: true,
  add: true,
  capture: true,
  remove: true,
  removeAll: true,
  removeWhere: true,
  list: true,
  select: true,
  fire: true,
  fireGradient: true,
  recorded: true,
  drainReleased: true,
};

const CACHE: Members<EngineCache> = {
  keys: true,
  get: true,
  set: true,
  delete: true,
  clear: true,
  byteSize: true,
};

const MODEL: Members<EngineModel> = {
  configJson: true,
  registry: true,
  forward: true,
  start: true,
  createKvCache: true,
  generate: true,
  loadParameters: true,
  parameterNames: true,
  parameter: true,
  setTrainable: true,
  process: true,
  processing: true,
  dispose: true,
};

const UPLOAD: Members<EngineUpload> = {
  need: true,
  absent: true,
  text: true,
  start: true,
  feed: true,
  end: true,
  progress: true,
  finish: true,
  dispose: true,
};
const LOADING: Members<EngineLoading> = {
  finish: true,
  progress: true,
  cancel: true,
};

const RUN: Members<EngineRun> = {
  blocksLeft: true,
  step: true,
  finish: true,
  end: true,
};

const GENERATION: Members<EngineGeneration> = {
  done: true,
  advance: true,
  stop: true,
  end: true,
  sequences: true,
};

const KV_CACHE: Members<EngineKvCache> = {
  batch: true,
  length: true,
  capacity: true,
  byteSize: true,
  frozen: true,
  setFrozen: true,
  clear: true,
  layer: true,
  attentionMask: true,
  dispose: true,
};

const CLASSES = {
  EngineTensor: TENSOR,
  EngineRegistry: REGISTRY,
  EngineCache: CACHE,
  EngineLoading: LOADING,
  EngineUpload: UPLOAD,
  EngineModel: MODEL,
  EngineRun: RUN,
  EngineGeneration: GENERATION,
  EngineKvCache: KV_CACHE,
};

const names = (members: object) => Object.keys(members).sort();

function membersOf(module: EngineModule, name: string): string[] {
  const found: unknown = Reflect.get(module, name);
  if (typeof found !== "function") throw new Error(`${name} is not exported`);
  return Object.getOwnPropertyNames(found.prototype)
    .filter((member) => member !== "constructor")
    .sort();
}

const wasm = new URL("../../wasm/hooklens_bg.wasm", import.meta.url);

/** Both engines, each as it leaves Rust. A checkout in which WebAssembly was not built has one. */
function modules(): Record<string, EngineModule> {
  return existsSync(wasm) ? { node: addon(), wasm: startedWasm() } : { node: addon() };
}

function addon(): EngineModule {
  return createRequire(import.meta.url)(engine.name === "node" ? engineInfo().source : loadNative().source);
}

function startedWasm(): EngineModule {
  loadWasm();
  return wasmModule();
}

const found = modules();

describe.for(Object.entries(found))("the engine for %s", ([, module]) => {
  test("exports the functions and classes of the interface, and nothing else", () => {
    expect(names(module)).toEqual([...names(FUNCTIONS), ...names(CLASSES)].sort());
  });

  test.for(Object.entries(CLASSES))("%s has the members of its interface, and no others", ([of, members]) => {
    expect(membersOf(module, of)).toEqual(names(members));
  });

  test("has getters where the interface has properties", () => {
    const x = module.fromBits(new Float32Array(6), "float32", [2, 3], "cpu");
    expect({ ...x }).toEqual({});
    expect([x.shape, x.dtype, x.device, x.requiresGrad, x.isLeaf, x.gradFn, x.isDisposed]).toEqual([
      [2, 3],
      "float32",
      "cpu",
      false,
      true,
      null,
      false,
    ]);
    expect(x.constructor.name).toBe("EngineTensor");
  });

  test("is of the package's version and knows the same operations and errors", () => {
    expect(module.engineVersion()).toBe(engine.version);
    expect(module.ops()).toEqual(engine.ops());
    expect(module.errorCodes()).toEqual(native.errorCodes());
  });

  const [other] = Object.values(found).filter((candidate) => candidate !== module);

  test.runIf(other !== undefined)("takes no object of the other engine for one of its own", () => {
    if (other === undefined) throw new Error("there is no other engine");
    const strange = other.fromBits(new Float32Array(1), "float32", [1], "cpu");
    expect(() => module.parameter(strange)).toThrow(/expected a tensor of this engine/);
    expect(() => module.createCache().set("x", strange)).toThrow(/expected a tensor of this engine/);
  });
});

test("the engine is what is exported, its name and its version", () => {
  const members: Members<Engine> & { name: true; version: true } = {
    ...FUNCTIONS,
    name: true,
    version: true,
  };
  for (const name of Object.keys(members)) expect(engine).toHaveProperty(name);
  expect(engine.version).toBe("0.1.0");
});
