/**
 * hooklens: see and change every activation and every gradient inside a transformer.
 *
 * @module hooklens
 */

export { type ExplainOptions, explain } from "./analysis/explain.ts";
export type {
  Candidate,
  ExplainReport,
  HeadPatterns,
  LensRow,
  PromptToken,
} from "./analysis/explain-report.ts";
export { ActivationCache, type LoadCacheOptions } from "./cache/activation-cache.ts";
export { ActivationMap, type CacheKey } from "./cache/activation-map.ts";
export type { CacheMeta } from "./cache/cache-meta.ts";
export type { AxisOf, CacheSlice, Sliced } from "./cache/cache-slice.ts";
export { type EngineInfo, type EngineOptions, initEngine, type WasmSource } from "./engine/current.ts";
export type { Bits, DeviceName, DType } from "./engine/engine.ts";
export * from "./engine/errors.ts";
export type {
  CacheFor,
  CacheOrMap,
  CachingOptions,
  IntoCacheOptions,
  PosSlice,
  RunWithCacheOptions,
} from "./hooks/caching.ts";
export type { WithOptions } from "./hooks/call-arguments.ts";
export { HookHandles, LensHandle } from "./hooks/handle.ts";
export {
  Capture,
  type Hook,
  type HookDir,
  type HookDirs,
  type HookFn,
  type HookList,
  type HookPointLike,
  type HookResult,
  type Hooks,
  type HookTable,
  type HookTarget,
  type ListedHookOptions,
  type NamePredicate,
  type ScopeOptions,
} from "./hooks/hook-fn.ts";
export {
  type AddHookOptions,
  type HookConversion,
  type HookFilter,
  HookPoint,
  type PointOptions,
} from "./hooks/hook-point.ts";
export {
  type AxesOfTarget,
  type CachingHooks,
  type CheckedHookOptions,
  HookedRoot,
  type ListHooksOptions,
  type ResetOptions,
} from "./hooks/hooked-root.ts";
export { HookedRootModule, type WithCache } from "./hooks/hooked-root-module.ts";
export { type InterventionTable, loadInterventions, saveInterventions } from "./hooks/intervention-file.ts";
export {
  add,
  type ClampSpec,
  clamp,
  type EditPositions,
  type EditSelection,
  type GivenMeanSpec,
  Intervention,
  type InterventionSpec,
  type KnockOutOptions,
  type KnockOutSpec,
  knockOutEdges,
  meanAblate,
  type OwnMeanSpec,
  type PatchSpec,
  type ProjectOutSpec,
  patchFrom,
  projectOut,
  type ScaleSpec,
  type SelectedSpec,
  scale,
  set,
  type TensorRef,
  type ValueSpec,
  type ZeroSpec,
  zero,
} from "./hooks/interventions.ts";
export { type Logger, setLogger } from "./hooks/logger.ts";
export { type LoadStateOptions, Module } from "./hooks/module.ts";
export type {
  Axes,
  AxesAt,
  AxesOfKey,
  DynamicKey,
  Glob,
  GradName,
  NameOf,
  Points,
  PointsOf,
  Recorded,
} from "./hooks/names.ts";
export { HookScope } from "./hooks/scope.ts";
export type { NamesFilter } from "./hooks/selection.ts";
export {
  type ActName,
  type AxesOfShort,
  getActName,
  type OuterShort,
  type Short,
  type ShortNames,
  type TupleKey,
} from "./models/act-names.ts";
export type {
  AsyncOptions,
  ForwardOptions,
  ForwardOutput,
  Logits,
  LogitsAndLoss,
  ModelInput,
  Progress,
  ReturnType,
} from "./models/forward-options.ts";
export type {
  FinishReason,
  Generated,
  GeneratedWithLogits,
  GenerateInput,
  GenerateOptions,
  GenerateOutput,
  GenerateReturn,
  GenerateStreamOptions,
  GenerationStep,
  SamplingOptions,
  TextOf,
} from "./models/generate-options.ts";
export { type CacheOf, HookedTransformer } from "./models/hooked-transformer.ts";
export {
  type CachedRows,
  KeyValueCache,
  type KeyValueCacheEntry,
  type KeyValueCacheOptions,
} from "./models/key-value-cache.ts";
export type { LoadOptions, LoadProgress, ModelOptions } from "./models/load-options.ts";
export type {
  ProcessingOptions,
  ProcessingRecord,
  ProcessingStep,
  ProcessingSteps,
} from "./models/processing.ts";
export { type SampleLogitsOptions, sampleLogits } from "./models/sample-logits.ts";
export type { BlobLike, DirectoryHandle, FileLike } from "./models/sources/blob-source.ts";
export type { ModelLocation } from "./models/sources/choose-source.ts";
export type { Fetch } from "./models/sources/http.ts";
export type { SourceOptions } from "./models/sources/source-options.ts";
export {
  deleteStoredModel,
  type StoredModel,
  type StoreKind,
  storedModels,
} from "./models/stores/stored-models.ts";
export type { TransformerConfig } from "./models/transformer-config.ts";
export { TransformerGeneration } from "./models/transformer-generation.ts";
export { TransformerModules } from "./models/transformer-modules.ts";
export type {
  BlockPoints,
  OuterPoints,
  SplitNormKeys,
  TransformerKeys,
  TransformerPoints,
} from "./models/transformer-points.ts";
export {
  type TokenPositionOptions,
  type ToTokensOptions,
  TransformerText,
} from "./models/transformer-text.ts";
export {
  type Attention,
  AttentionPart,
  type BlockNorm,
  type BlockParts,
  type Blocks,
  Embed,
  type FinalNorm,
  type Mlp,
  MlpPart,
  NormPart,
  type PointsAtTop,
  type PointsIn,
  PosEmbed,
  type TransformerBlock,
  type TransformerParts,
  type Unembed,
  UnembedPart,
} from "./models/transformer-tree.ts";
export { type AccumulatedBiasOptions, TransformerWeights } from "./models/transformer-weights.ts";
export * from "./tensor/index.ts";
export type { Batch, Ids, Tokens } from "./text/batch.ts";
export {
  type DecodeOptions,
  type PaddingSide,
  Tokenizer,
  type TokenizerFileOptions,
} from "./text/tokenizer.ts";
export * from "./train/index.ts";
export * from "./viz/index.ts";
