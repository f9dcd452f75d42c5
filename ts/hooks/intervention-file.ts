/** Interventions in files: JSON, and beside it the tensors as safetensors. */

import { hooklensError } from "../engine/errors.ts";
import { files } from "../platform/platform.ts";
import { requireIterable, requireObject, requireText } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Intervention } from "./interventions.ts";
import { readStateDict, writeStateDict } from "./state-file.ts";

/** Interventions by the names of the points they are for. */
export type InterventionTable = { readonly [name: string]: Intervention | readonly Intervention[] };

const INSTEAD =
  "each intervention has toJSON() and tensors, and Intervention.fromJSON makes it again of the two";

function tensorFile(path: string): string {
  return `${path.replace(/\.json$/, "")}.safetensors`;
}

/**
 * Writes interventions to `path` as JSON and their tensors beside it, as `.safetensors`. {@link loadInterventions} reads
 * both.
 */
export async function saveInterventions(path: string, table: InterventionTable): Promise<void> {
  requireText("saveInterventions", "the path of a file", path);
  requireObject("saveInterventions", "an object of names and interventions", table);
  const { writeText } = files("saveInterventions", INSTEAD);
  const tensors = new Map<string, Tensor>();
  const written: Record<string, unknown[]> = {};
  for (const [name, value] of Object.entries(table)) {
    if (!(value instanceof Intervention)) {
      requireIterable(`saveInterventions: '${name}'`, "an intervention or a list of them", value);
    }
    const list: readonly Intervention[] = value instanceof Intervention ? [value] : [...value];
    written[name] = list.map((intervention, i) => {
      if (!(intervention instanceof Intervention)) {
        throw hooklensError(
          "invalid_argument",
          `saveInterventions: '${name}': expected an intervention, got ${describe(intervention)}; functions cannot be saved`,
        );
      }
      const bound = intervention.bind(name);
      const names = bound.tensors.map((_, n) => `${name}/${i}/${n}`);
      for (const [n, tensor] of bound.tensors.entries()) tensors.set(`${name}/${i}/${n}`, tensor);
      return { ...bound.toJSON(), tensors: names };
    });
  }
  if (tensors.size > 0) writeStateDict(tensorFile(path), tensors);
  await writeText(path, `${JSON.stringify({ interventions: written }, null, 2)}\n`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads what {@link saveInterventions} wrote.
 *
 * @throws `invalid_file` if it is not of that form, `invalid_intervention` for an intervention that does not exist.
 */
export async function loadInterventions(path: string): Promise<Record<string, Intervention[]>> {
  requireText("loadInterventions", "the path of a file", path);
  const invalid = (detail: string) => hooklensError("invalid_file", `${path}: ${detail}`, { path, detail });
  const { readText } = files("loadInterventions", INSTEAD);
  let json: unknown;
  try {
    json = JSON.parse(await readText(path));
  } catch (error) {
    if (error instanceof SyntaxError) throw invalid(`is no JSON: ${error.message}`);
    throw hooklensError("missing_file", `${path}: cannot be read`, { path, detail: String(error) });
  }
  const table = isRecord(json) ? json["interventions"] : undefined;
  if (!isRecord(table)) throw invalid("expected an object with the key 'interventions'");
  const lists = Object.entries(table).map(([name, list]): [string, Record<string, unknown>[]] => {
    if (!Array.isArray(list) || !list.every(isRecord))
      throw invalid(`'${name}' must be a list of interventions`);
    return [name, list];
  });
  const named = lists.some(([, list]) =>
    list.some(({ tensors }) => Array.isArray(tensors) && tensors.length > 0),
  );
  const stored = named ? readStateDict(tensorFile(path)) : new Map<string, Tensor>();
  const loaded: Record<string, Intervention[]> = {};
  for (const [name, list] of lists) {
    loaded[name] = list.map(({ tensors, ...spec }) => {
      const found = (Array.isArray(tensors) ? tensors : []).map((key: unknown) => {
        const tensor = stored.get(String(key));
        if (tensor === undefined) throw invalid(`tensor '${String(key)}' is not in ${tensorFile(path)}`);
        return tensor;
      });
      return Intervention.fromJSON(spec, found);
    });
  }
  return loaded;
}
