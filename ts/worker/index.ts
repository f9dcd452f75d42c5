/** The public names of `hooklens/worker`, beside `startWorker`. */

export { type ErrorCode, type ErrorDetails, HooklensError } from "../engine/errors.ts";
export { Remote } from "./remote.ts";
export { RemoteCache } from "./remote-cache.ts";
export type {
  AnyTensor,
  RemoteFilter,
  RemoteHook,
  RemoteHooks,
  RemoteInput,
  RemoteSpec,
} from "./remote-model.ts";
export {
  type RemoteCachingOptions,
  type RemoteForwardOptions,
  type RemoteGenerateOptions,
  RemoteScope,
  type RemoteScopeOptions,
  type RemoteStreamOptions,
  RemoteTransformer,
} from "./remote-model.ts";
export { type Remotely, RemoteTensor } from "./remote-tensor.ts";
export {
  EngineWorker,
  type RemoteElements,
  type RemoteLoadOptions,
  type RemoteModels,
  type RemoteTensorOptions,
  type WorkerInfo,
  type WorkerLike,
  type WorkerOptions,
} from "./start.ts";
export {
  ModuleFunction,
  type ModuleHookOptions,
  moduleHook,
  type WorkerContext,
  type WorkerHook,
} from "./worker-hook.ts";
