/** Checks of arguments that JavaScript lets callers leave out, before something less clear fails on them. */

import { HooklensError } from "../engine/errors.ts";
import { describe, handleOf, type TensorBase } from "./base.ts";

function wrong(what: string, expected: string, got: unknown): HooklensError {
  return new HooklensError("invalid_argument", `${what}: expected ${expected}, got ${describe(got)}`);
}

/** Gives a tensor back; throws for anything else, and for a disposed one. */
export function requireTensor<T extends TensorBase>(value: T): T {
  handleOf(value);
  return value;
}

/** Throws unless `value` is a function. */
export function requireFunction(what: string, value: unknown): void {
  if (typeof value !== "function") throw wrong(what, "a function", value);
}

/** Throws unless `value` is an object, `expected` in words. */
export function requireObject(what: string, expected: string, value: unknown): void {
  if (typeof value !== "object" || value === null) throw wrong(what, expected, value);
}

/** Throws unless `value` is an array or something else to go through, `expected` in words. */
export function requireIterable(what: string, expected: string, value: unknown): void {
  requireObject(what, expected, value);
  if (!(Symbol.iterator in (value as object))) throw wrong(what, expected, value);
}

/** Throws unless `value` is text, `expected` in words. */
export function requireText(what: string, expected: string, value: unknown): void {
  if (typeof value !== "string") throw wrong(what, expected, value);
}

/** Throws unless what an option gives is a whole number above 0; `what` names the option, and the function if need be. */
export function requireCount(what: string, option: string, value: unknown): void {
  if (Number.isSafeInteger(value) && Number(value) > 0) return;
  throw new HooklensError(
    "invalid_argument",
    `${what}: expected a whole number above 0, got ${describe(value)}`,
    {
      option,
    },
  );
}
