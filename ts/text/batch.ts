/** Texts and ids as rectangular batches. */

import { hooklensError } from "../engine/errors.ts";
import { describe, isTensor } from "../tensor/base.ts";
import { tensor } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { PaddingSide, Tokenizer } from "./tokenizer.ts";

/** Token ids `[batch, pos]`. */
export type Tokens = Tensor<readonly ["batch", "pos"], "int64">;

/** Token ids, one text or several. */
export type Ids = readonly number[] | readonly (readonly number[])[];

/** Ids of texts, filled up to the longest. */
export interface Batch {
  /** `[batch, pos]` */
  readonly tokens: Tokens;
  /** 1 for tokens, 0 for padding, `[batch, pos]`; null if nothing was filled up. */
  readonly attentionMask: Tokens | null;
}

function checkedId(id: unknown): number {
  if (typeof id === "number" && Number.isSafeInteger(id)) return id;
  throw hooklensError("invalid_argument", `token ids are whole numbers, got ${describe(id)}`);
}

function isNested(ids: Ids): ids is readonly (readonly number[])[] {
  return ids.length > 0 && Array.from<unknown>(ids).every((row) => Array.isArray(row));
}

/** Rows of ids; a single text is one row. */
export function rowsOf(ids: Ids): (readonly number[])[] {
  if (!Array.isArray(ids) && !ArrayBuffer.isView(ids)) {
    throw hooklensError("invalid_argument", `expected text, token ids or a Tensor, got ${describe(ids)}`);
  }
  return (isNested(ids) ? ids : [ids as readonly number[]]).map((row) => Array.from(row, checkedId));
}

function rectangle(rows: readonly (readonly number[])[], width: number): Tokens {
  const flat = BigInt64Array.from(rows.flat(), (id) => BigInt(id));
  return tensor(flat, { shape: [rows.length, width] }).named("batch", "pos");
}

/** Ids as a tensor. All texts must have the same length: without a tokenizer nobody knows what to fill up with. */
export function fromIds(ids: Ids): Tokens {
  const rows = rowsOf(ids);
  const width = rows[0]?.length ?? 0;
  const odd = rows.find((row) => row.length !== width);
  if (odd !== undefined) {
    throw hooklensError(
      "shape_mismatch",
      `token ids of several texts must have the same length, got ${width} and ${odd.length}; give strings, or fill up and pass attentionMask`,
    );
  }
  return rectangle(rows, width);
}

/** An attention mask of rows of 1 and 0, or of one such row, as a tensor. */
export function fromMask(mask: Tensor | readonly (readonly number[])[]): Tensor {
  if (isTensor(mask)) return mask;
  const expected = "attentionMask: expected rows of 1 (keep) and 0 (padding) or a Tensor";
  if (!Array.isArray(mask) && !ArrayBuffer.isView(mask)) {
    throw hooklensError("invalid_argument", `${expected}, got ${describe(mask)}`);
  }
  const rows: readonly (readonly unknown[])[] = isNested(mask) ? mask : [Array.from<unknown>(mask)];
  const [width = 0, odd] = [...new Set(rows.map((row) => row.length))];
  if (odd !== undefined) {
    throw hooklensError(
      "shape_mismatch",
      `attentionMask: its rows must have the same length, got ${width} and ${odd}`,
    );
  }
  const numbers = rows.map((row) =>
    Array.from(row, (keep) => {
      if (keep === 0 || keep === 1) return keep;
      throw hooklensError("invalid_argument", `${expected}, got ${describe(keep)} in a row`);
    }),
  );
  return rectangle(numbers, width);
}

/** Texts as ids, cut to `limit` and filled up on one side. */
export function fromTexts(
  texts: readonly string[],
  tokenizer: Tokenizer,
  { prependBos, paddingSide, limit }: { prependBos: boolean; paddingSide: PaddingSide; limit: number | null },
): Batch {
  const rows = texts.map((text) => {
    if (typeof text !== "string") {
      throw hooklensError("invalid_argument", `expected a text, got ${describe(text)}`);
    }
    const ids = tokenizer.encode(text, prependBos);
    return limit === null ? ids : ids.slice(0, limit);
  });
  const width = rows.reduce((longest, row) => Math.max(longest, row.length), 0);
  if (rows.every((row) => row.length === width))
    return { tokens: rectangle(rows, width), attentionMask: null };
  const pad = tokenizer.padId;
  if (pad === null) {
    throw hooklensError(
      "invalid_argument",
      `texts of different lengths need a padding token, and '${tokenizer.padToken}' is not in the vocabulary`,
    );
  }
  const filled = (row: readonly number[], own: readonly number[], filler: number) => {
    const padding = new Array<number>(width - row.length).fill(filler);
    return paddingSide === "left" ? [...padding, ...own] : [...own, ...padding];
  };
  return {
    tokens: rectangle(
      rows.map((row) => filled(row, row, pad)),
      width,
    ),
    attentionMask: rectangle(
      rows.map((row) =>
        filled(
          row,
          row.map(() => 1),
          0,
        ),
      ),
      width,
    ),
  };
}

/** The rows of ids in a tensor of rank 0, 1 or 2; `rank` is its rank. */
export function idsOf(tokens: Tensor | Ids | number): { readonly rows: number[][]; readonly rank: number } {
  if (typeof tokens === "number") return { rows: [[checkedId(tokens)]], rank: 0 };
  if (!isTensor(tokens)) {
    const rows = rowsOf(tokens).map((row) => [...row]);
    return { rows, rank: isNested(tokens) ? 2 : 1 };
  }
  const { rank } = tokens;
  if (rank > 2) {
    throw hooklensError(
      "rank_mismatch",
      `token ids have shape [pos] or [batch, pos], got [${tokens.shape.join(", ")}]`,
    );
  }
  const flat = [...tokens.to("cpu").toTypedArray()].map((id) => checkedId(Number(id)));
  const width = tokens.shape.at(-1) ?? 1;
  const count = rank === 2 ? (tokens.shape[0] ?? 0) : 1;
  return { rows: Array.from({ length: count }, (_, i) => flat.slice(i * width, (i + 1) * width)), rank };
}
