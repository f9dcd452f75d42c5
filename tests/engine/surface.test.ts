import { expect, test } from "vitest";
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
import type { EngineModule } from "../../ts/engine/wire.ts";
import { engine, native } from "./native-module.ts";

// The compiler refuses these tables if a member of the interface is missing or too many; the tests compare them with
// what the addon really has.
type Members<T> = Readonly<Record<keyof T, true>>;

const ADDON: Members<EngineModule> = {
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

test("the addon exports the engine's functions and classes, and nothing else", () => {
  expect(Object.keys(native).sort()).toEqual([...Object.keys(ADDON), ...Object.keys(CLASSES)].sort());
});

test("the engine is the addon's functions, its name and its version", () => {
  const members: Members<Engine> & { name: true; version: true } = { ...ADDON, name: true, version: true };
  for (const name of Object.keys(members)) expect(engine).toHaveProperty(name);
  expect(engine).toMatchObject({ name: "node", version: "0.1.0" });
});

for (const [name, members] of Object.entries(CLASSES)) {
  test(`${name} has the members of its interface, and no others`, () => {
    const found: unknown = Reflect.get(native, name);
    if (typeof found !== "function") throw new Error(`${name} is not exported`);
    const own = Object.getOwnPropertyNames(found.prototype).filter((member) => member !== "constructor");
    expect(own.sort()).toEqual(Object.keys(members).sort());
  });
}
