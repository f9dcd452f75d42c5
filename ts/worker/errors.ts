/** Errors that cross: subclasses of `HooklensError` come out as what they were, others as an `Error` of the same name. */

import {
  type ErrorCode,
  type ErrorDetails,
  HooklensError,
  hooklensError,
  isErrorCode,
} from "../engine/errors.ts";
import type { WireError } from "./protocol.ts";

function cloneable(details: unknown): unknown {
  try {
    return structuredClone(details);
  } catch {
    return {};
  }
}

/** An error as data. */
export function wireError(thrown: unknown): WireError {
  if (!(thrown instanceof Error)) {
    return { name: "Error", message: String(thrown), stack: null, code: null, details: {} };
  }
  const { name, message, stack = null } = thrown;
  const known = thrown instanceof HooklensError ? thrown : null;
  return { name, message, stack, code: known?.code ?? null, details: cloneable(known?.details ?? {}) };
}

/** The error again. Its stack is the worker's, which tells where it happened. */
export function errorOf({ name, message, stack, code, details }: WireError): Error {
  const known: ErrorCode | null = code !== null && isErrorCode(code) ? code : null;
  const error =
    known === null ? new Error(message) : hooklensError(known, message, (details ?? {}) as ErrorDetails);
  if (known === null && name !== "Error") error.name = name;
  if (stack !== null) error.stack = stack;
  return error;
}
