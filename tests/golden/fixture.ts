import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ProcessingSteps } from "../../ts/index.ts";
import { readSafetensors, type Stored } from "../support/golden.ts";
import type { Tolerance } from "./closeness.ts";

/** What a fixture allows, by kind of tensor. */
export interface Tolerances {
  readonly logits: Tolerance;
  readonly activation: Tolerance;
  readonly pattern: Tolerance;
  readonly gradient: Tolerance;
}

const REFERENCE: Tolerances = {
  logits: { absolute: 1e-4, relative: 1e-4 },
  activation: { absolute: 1e-4, relative: 1e-4 },
  pattern: { absolute: 1e-4, relative: 1e-4 },
  gradient: { absolute: 1e-4, relative: 1e-3 },
};

/** For fixtures made with Hugging Face alone, whose own error is far smaller. */
const HUGGING_FACE: Tolerances = {
  logits: { absolute: 1e-4, relative: 0 },
  activation: { absolute: 1e-4, relative: 1e-5 },
  pattern: { absolute: 1e-5, relative: 0 },
  gradient: { absolute: 1e-5, relative: 1e-4 },
};

/** One directory with a model and what a reference implementation computed with it. */
export interface Fixture {
  readonly name: string;
  readonly folder: string;
  readonly expected: ReadonlyMap<string, Stored>;
  /** Logits with one activation halved, by hook name. */
  readonly interventions: ReadonlyMap<string, Stored>;
  /** Activations, gradients and logits with all optional hook points recorded. */
  readonly options: ReadonlyMap<string, Stored>;
  /** Activations and logits after weight processing; empty if the fixture has none. */
  readonly processed: ReadonlyMap<string, Stored>;
  /** The weights after it. */
  readonly processedWeights: ReadonlyMap<string, Stored>;
  readonly processing: ProcessingSteps;
  readonly tolerances: Tolerances;
  /** Config keys by whose name the model may be refused. */
  readonly refusable: readonly string[];
}

/** What the reference does unless flags say otherwise. */
function stepsOf(flags: Readonly<Record<string, boolean>> = {}): ProcessingSteps {
  return {
    foldLn: flags["fold_ln"] ?? true,
    centerWritingWeights: flags["center_writing_weights"] ?? true,
    centerUnembed: flags["center_unembed"] ?? true,
    foldValueBiases: flags["fold_value_biases"] ?? true,
    refactorFactoredAttnMatrices: flags["refactor_factored_attn_matrices"] ?? false,
  };
}

function optional(folder: string, file: string): ReadonlyMap<string, Stored> {
  return existsSync(join(folder, file)) ? readSafetensors(folder, file) : new Map();
}

/** Reads a fixture directory. */
export function readFixture(folder: string): Fixture {
  const about = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as {
    reference?: string;
    processed?: { flags?: Readonly<Record<string, boolean>> };
  };
  const name = basename(folder);
  const list = join(dirname(folder), "refusable.json");
  const refusable = existsSync(list)
    ? (JSON.parse(readFileSync(list, "utf8")) as Record<string, { keys?: string[] }>)[name]?.keys
    : undefined;
  return {
    name,
    folder,
    expected: readSafetensors(folder, "expected.safetensors"),
    interventions: optional(folder, "expected_interventions.safetensors"),
    options: optional(folder, "expected_options.safetensors"),
    processed: optional(folder, "expected_processed.safetensors"),
    processedWeights: optional(folder, "expected_processed_weights.safetensors"),
    processing: stepsOf(about.processed?.flags),
    tolerances: about.reference === "transformers" ? HUGGING_FACE : REFERENCE,
    refusable: refusable ?? [],
  };
}

/** All fixture directories in a folder, at any depth; the folder itself may be one. */
export function fixtureFolders(folder: string): string[] {
  if (existsSync(join(folder, "expected.safetensors"))) return [folder];
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isDirectory())
    .flatMap(fixtureFolders);
}

/** Stored numbers as doubles (int64 ids are small). */
export function numbers(stored: Stored): Float64Array | Float32Array {
  const { buffer } = stored.bytes;
  if (stored.dtype === "F32") return new Float32Array(buffer);
  if (stored.dtype === "F64") return new Float64Array(buffer);
  if (stored.dtype === "I64") return Float64Array.from(new BigInt64Array(buffer), Number);
  throw new Error(`a fixture tensor of dtype ${stored.dtype}`);
}

/** Stored ids as rows. */
export function idRows(stored: Stored): number[][] {
  const [rows = 0, columns = 0] = stored.shape;
  const flat = [...numbers(stored)];
  return Array.from({ length: rows }, (_, row) => flat.slice(row * columns, (row + 1) * columns));
}
