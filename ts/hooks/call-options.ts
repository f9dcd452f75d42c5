/** Takes our options out of the arguments of a call that goes on to `forward`. */

import { hooklensError } from "../engine/errors.ts";
import { describe } from "../tensor/base.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";

/** Refuses options that nobody reads: a misspelt one would silently do nothing. */
export function checkKeys(what: string, options: unknown, known: readonly ReadonlySet<string>[]): void {
  checkOptionKeys(
    what,
    options,
    known.flatMap((keys) => [...keys]),
  );
}

/** Refuses options that are not `true` or `false`: in a condition, any text would count as true. */
export function checkFlags(options: Readonly<Record<string, unknown>>): void {
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined || typeof value === "boolean") continue;
    throw hooklensError("invalid_argument", `${option}: expected true or false, got ${describe(value)}`, {
      option,
    });
  }
}

/** The last argument, if it is a plain object: an instance of a class is an input. */
function lastRecord(args: readonly unknown[]): Readonly<Record<string, unknown>> | null {
  const last = args.at(-1);
  if (typeof last !== "object" || last === null) return null;
  const prototype = Object.getPrototypeOf(last);
  return prototype === Object.prototype || prototype === null ? (last as Record<string, unknown>) : null;
}

/** The arguments for `forward`, and the options that were among them. */
export interface SplitArguments {
  readonly inputs: readonly unknown[];
  readonly options: Readonly<Record<string, unknown>>;
  /** The names of the options that stayed with the inputs. */
  readonly others: readonly string[];
}

/**
 * Splits `args` into the arguments for `forward` and the options called `keys`. Options of both kinds may share the
 * trailing object; what is not ours stays in it, and it is left out if nothing does.
 */
export function splitOptions(args: readonly unknown[], keys: ReadonlySet<string>): SplitArguments {
  const record = lastRecord(args);
  if (record === null) return { inputs: [...args], options: {}, others: [] };
  const ours: [string, unknown][] = [];
  const theirs: [string, unknown][] = [];
  for (const entry of Object.entries(record)) {
    // An explicit undefined means the default, like a key that is not there.
    if (entry[1] !== undefined) (keys.has(entry[0]) ? ours : theirs).push(entry);
  }
  const inputs = args.slice(0, -1);
  if (theirs.length > 0) inputs.push(Object.fromEntries(theirs));
  return { inputs, options: Object.fromEntries(ours), others: theirs.map(([name]) => name) };
}
