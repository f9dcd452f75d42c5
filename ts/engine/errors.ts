/**
 * Errors as users see them. The engine's errors are data (a code, a message, details); here they become objects again,
 * one class for each cause that a program is likely to handle by itself.
 */

import type { EngineErrorData } from "./engine.ts";

/** Codes of errors that the engine finds. A test compares this list with the engine's own. */
export const ENGINE_ERROR_CODES = [
  "shape_mismatch",
  "rank_mismatch",
  "dim_out_of_range",
  "index_out_of_range",
  "element_count",
  "empty_reduction",
  "invalid_argument",
  "needs_copy",
  "wrong_dtype",
  "singular_matrix",
  "division_by_zero",
  "autograd",
  "unknown_op",
  "unknown_hook",
  "invalid_names_filter",
  "hook_shape",
  "hook_dtype",
  "invalid_intervention",
  "hooks_nested_too_deep",
  "callback",
  "scalar_required",
  "unsupported_config",
  "unsupported_architecture",
  "cancelled",
  "not_supported_on_this_model",
  "context_length",
  "token_out_of_range",
  "weight_mismatch",
  "no_file_system",
  "missing_file",
  "invalid_file",
  "memory_limit",
  "disposed",
  "device_unavailable",
  "internal",
  "backend",
] as const;

/** Codes of errors that only the TypeScript side finds. */
export const LIBRARY_ERROR_CODES = [
  "unknown_axis",
  "unsafe_integer",
  "engine_unavailable",
  "no_webassembly",
  "no_simd",
  "download_failed",
  "worker_died",
  "hook_result",
  "not_a_hook_point",
  "not_cached",
  "not_set_up",
  "tokenizer_required",
  "not_single_token",
] as const;

/** Every value that {@link HooklensError.code} can have. Codes are stable: messages may change, these do not. */
export type ErrorCode = (typeof ENGINE_ERROR_CODES)[number] | (typeof LIBRARY_ERROR_CODES)[number];

/** What an error knows beside its message, such as `{ required: 1025, nCtx: 1024 }`. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** Messages may show what came in, which may be lists of millions. */
function capped(message: string): string {
  if (message.length <= 4000) return message;
  return `${message.slice(0, 3000)} … ${message.slice(-500)}`;
}

/** Everything that hooklens itself throws. What a hook function throws comes out as it is. */
export class HooklensError extends Error {
  /** Stable name of the cause, for programs to test. */
  readonly code: ErrorCode;
  /** The numbers and names of the message, as data. */
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(capped(message), options);
    this.code = code;
    this.details = details;
  }

  static {
    // On the prototype, so that it is no own property of every error and subclasses show their own.
    HooklensError.prototype.name = "HooklensError";
  }
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function numbers(value: unknown): readonly number[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "number") : [];
}

/** A hook-point name that the module does not have. */
export class UnknownHookError extends HooklensError {
  /** The name that was asked for. */
  readonly hook = String(this.details["name"]);
  /** The nearest names that exist. */
  readonly suggestions = strings(this.details["suggestions"]);
}

/** A hook returned a tensor of another shape than the activation's. */
export class HookShapeError extends HooklensError {
  /** Name of the point. */
  readonly hook = String(this.details["hook"]);
  /** The activation's shape. */
  readonly expected = numbers(this.details["expected"]);
  /** The shape that the hook returned. */
  readonly got = numbers(this.details["got"]);
}

/** A names filter that matches nothing, or of a kind that is not understood. */
export class InvalidNamesFilterError extends HooklensError {}

/** A gradient was asked of something with more than one element. */
export class ScalarRequiredError extends HooklensError {
  /** The shape that came. */
  readonly got = numbers(this.details["got"]);
}

/** Text came in, and the model has no tokenizer. */
export class TokenizerRequiredError extends HooklensError {}

/** A text that should be one token is several, or none. */
export class NotSingleTokenError extends HooklensError {}

/** A sequence longer than the model's context. */
export class ContextLengthError extends HooklensError {
  /** Tokens of the sequence. */
  readonly required = Number(this.details["required"]);
  /** Tokens that fit. */
  readonly nCtx = Number(this.details["nCtx"]);
}

/** A model of an architecture that is not implemented. */
export class UnsupportedArchitectureError extends HooklensError {
  /** The architecture's name in the checkpoint. */
  readonly got = String(this.details["got"]);
  /** Names of the architectures that load. */
  readonly supported = strings(this.details["supported"]);
}

/** A weight that is missing, superfluous, or of another shape than the config asks for. */
export class WeightMismatchError extends HooklensError {
  /** Name of the weight, the first if there are several. */
  readonly key = String(this.details["name"]);
  /** Names of all weights that do not fit, also where the message shortens the list. */
  readonly keys: readonly string[] = "names" in this.details ? strings(this.details["names"]) : [this.key];
}

/** Something that this model cannot do, such as text generation with an encoder. */
export class NotSupportedOnThisModelError extends HooklensError {}

type ErrorClass = new (code: ErrorCode, message: string, details: ErrorDetails) => HooklensError;

const CLASSES: { readonly [code in ErrorCode]?: ErrorClass } = {
  unknown_hook: UnknownHookError,
  hook_shape: HookShapeError,
  invalid_names_filter: InvalidNamesFilterError,
  scalar_required: ScalarRequiredError,
  tokenizer_required: TokenizerRequiredError,
  not_single_token: NotSingleTokenError,
  context_length: ContextLengthError,
  unsupported_architecture: UnsupportedArchitectureError,
  weight_mismatch: WeightMismatchError,
  not_supported_on_this_model: NotSupportedOnThisModelError,
};

for (const type of Object.values(CLASSES)) type.prototype.name = type.name;

/**
 * An error of the class that belongs to `code`.
 * @internal
 */
export function hooklensError(code: ErrorCode, message: string, details: ErrorDetails = {}): HooklensError {
  return new (CLASSES[code] ?? HooklensError)(code, message, details);
}

const CODES: ReadonlySet<string> = new Set([...ENGINE_ERROR_CODES, ...LIBRARY_ERROR_CODES]);

/** Whether a text is a code of ours. @internal */
export function isErrorCode(code: string): code is ErrorCode {
  return CODES.has(code);
}

/** `n_ctx` becomes `nCtx`: names inside the engine are Rust's. */
function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

const PREFIX = "hooklens:";

/**
 * Rebuilds an error of the engine; gives null for anything else.
 * @internal
 */
export function parseEngineError(error: unknown): HooklensError | null {
  if (!(error instanceof Error) || !error.message.startsWith(PREFIX)) return null;
  const data: EngineErrorData = JSON.parse(error.message.slice(PREFIX.length));
  const details = Object.entries(data.details).map(([key, value]) => [camelCase(key), value]);
  return hooklensError(
    isErrorCode(data.code) ? data.code : "internal",
    data.message,
    Object.fromEntries(details),
  );
}
