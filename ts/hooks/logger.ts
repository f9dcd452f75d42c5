/** Where warnings go. */

import { requireFunction, requireObject } from "../tensor/arguments.ts";

/** Receives the library's warnings. */
export interface Logger {
  /** Something is probably not what was meant, and the call goes on. */
  warn(message: string): void;
}

let current: Logger = { warn: (message) => console.warn(`hooklens: ${message}`) };

/**
 * Sends warnings to `logger` from now on; gives the one before, so that it can be put back. By default they go to
 * `console.warn`.
 */
export function setLogger(logger: Logger): Logger {
  requireObject("setLogger", "an object with a function warn", logger);
  requireFunction("setLogger: warn", logger.warn);
  const before = current;
  current = logger;
  return before;
}

/** Warns. Internal. */
export function warn(message: string): void {
  current.warn(message);
}
