/** Finds names and options that were probably misspelt. */

import { hooklensError } from "../engine/errors.ts";
import { editDistance } from "../tensor/option-keys.ts";

/** Names shorter than this are common words (`device`, `dtype`), which a model's own option may well resemble. */
const DISTINCTIVE = 7;

function resembles(key: string, known: string): boolean {
  const plain = (name: string) => name.replaceAll("_", "").toLowerCase();
  if (plain(key) === plain(known)) return true;
  return known.length >= DISTINCTIVE && editDistance(plain(key), plain(known)) <= 2;
}

/**
 * Refuses options that are likely mistakes where others are allowed, because a model's own `forward` takes them: names
 * that resemble one of `known`, and names in `elsewhere`, which belong to another call.
 */
export function refuseNearMisses(
  what: string,
  options: readonly string[],
  known: ReadonlySet<string>,
  elsewhere: ReadonlySet<string>,
): void {
  for (const option of options) {
    const suggestion = [...known].find((name) => resembles(option, name));
    if (suggestion !== undefined) {
      throw hooklensError(
        "invalid_argument",
        `${what} has no option '${option}': did you mean '${suggestion}'? An option of the model's own with such a name can only be given to forward itself, inside hooks()`,
        { option, suggestion },
      );
    }
    if (option.length >= DISTINCTIVE && elsewhere.has(option)) {
      throw hooklensError(
        "invalid_argument",
        `${what} has no option '${option}'; it takes ${[...known].join(", ")}`,
        {
          option,
        },
      );
    }
  }
}

/** The three names that are spelled most like `name`, nearest first; what follows the last dot counts double. */
export function nearestNames(name: string, names: readonly string[]): string[] {
  const split = (whole: string) => {
    const dot = whole.lastIndexOf(".") + 1;
    return [whole.slice(0, dot), whole.slice(dot)] as const;
  };
  const [place, last] = split(name.slice(0, 100));
  const distanceTo = (candidate: string) => {
    const [otherPlace, otherLast] = split(candidate);
    return 2 * editDistance(last, otherLast) + editDistance(place, otherPlace);
  };
  return names
    .map((candidate) => ({ candidate, distance: distanceTo(candidate) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}
