/** Checks the names of options: a misspelt one would silently do nothing. */

import { HooklensError } from "../engine/errors.ts";
import { describe } from "./base.ts";

/** How many letters must be inserted, removed or replaced to make `b` of `a`. */
export function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...a].entries()) {
    const row = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = (above[j] ?? 0) + Number(letter !== b[j]);
      row.push(Math.min(replaced, (above[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1));
    }
    above = row;
  }
  return above[b.length] ?? 0;
}

/** The one of `known` that `key` most likely means, if one is near. */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  const plain = (name: string) => name.replaceAll("_", "").toLowerCase().slice(0, 64);
  const asked = plain(key);
  const distanceTo = (name: string) => {
    const other = plain(name);
    const shortened = asked.length > 2 && (asked.startsWith(other) || other.startsWith(asked));
    return shortened ? 1 : editDistance(asked, other);
  };
  const [best] = known
    .map((name) => ({ name, distance: distanceTo(name) }))
    .sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance * 2 <= Math.max(asked.length, 2) ? best.name : undefined;
}

/** Whether `value` can hold options: a plain object of any realm, or an instance with properties of its own. */
function holdsOptions(value: unknown): value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value))
    return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return true;
  return Object.keys(value).length > 0;
}

/** Throws `invalid_argument` for options that are no object, or that have a key which is not `known`. Internal. */
export function checkOptionKeys(what: string, options: unknown, known: readonly string[]): void {
  if (options === undefined) return;
  if (!holdsOptions(options)) {
    throw new HooklensError(
      "invalid_argument",
      `${what}: expected an object of options (${known.join(", ")}), got ${describe(options)}`,
    );
  }
  for (const option in options) {
    if (known.includes(option)) continue;
    const suggestion = nearestKey(option, known);
    const hint = suggestion === undefined ? "" : `: did you mean '${suggestion}'?`;
    throw new HooklensError(
      "invalid_argument",
      `${what} has no option '${option.slice(0, 64)}'${hint === "" ? ";" : hint} it takes ${known.join(", ")}`,
      { option, ...(suggestion === undefined ? {} : { suggestion }) },
    );
  }
}
