/** What a transformer's forward is asked for, and what comes out. */

import type { Tensor } from "../tensor/tensor.ts";
import type { Ids } from "../text/batch.ts";
import type { PaddingSide } from "../text/tokenizer.ts";
import type { KeyValueCache } from "./key-value-cache.ts";

/** Text, several texts, token ids, or with `startAtLayer` a residual stream `[batch, pos, d_model]`. */
export type ModelInput = string | readonly string[] | Ids | Tensor;

/** What `forward` gives. With null nothing: only the hooks matter. */
export type ReturnType = "logits" | "loss" | "both" | null;

/** Options of `forward`. */
export interface ForwardOptions<
  R extends ReturnType = ReturnType,
  Stop extends number | null = number | null,
> {
  /**
   * What comes out.
   * @default "logits"
   */
  readonly returnType?: R;
  /**
   * The loss of each prediction, `[batch, pos - 1]`, instead of their mean.
   * @default false
   */
  readonly lossPerToken?: boolean;
  /**
   * Put the beginning-of-sequence token before texts.
   * @default the model's `cfg.default_prepend_bos`
   */
  readonly prependBos?: boolean;
  /**
   * Where shorter texts are filled up, or where given ids (with `startAtLayer`, those of `tokens`) were: a run of padding
   * tokens there is then no part of their text, as `getAttentionMask` says. Left out, ids are looked at so only if the
   * tokenizer pads on the left: what ends in padding tokens, which most models also end texts with, counts as text in the
   * loss. In an empty `pastKvCache` it does not where another row ends otherwise.
   * @default the tokenizer's own
   */
  readonly paddingSide?: PaddingSide;
  /**
   * Start at this block from a residual stream. As in a slice of an array, negative numbers count from the end, and what
   * lies beyond an end means that end: with as many as there are blocks only what follows the last one runs.
   */
  readonly startAtLayer?: number | null;
  /**
   * Stop before this block and give the residual stream, whatever `returnType` says. As in a slice of an array, negative
   * numbers count from the end, and what lies beyond an end means that end: 99 of 12 blocks runs them all.
   */
  readonly stopAtLayer?: Stop;
  /** Token ids for the loss of a run that starts from a residual stream, and for its mask, see `paddingSide`. */
  readonly tokens?: Tensor | Ids | null;
  /** 1 for tokens and 0 for padding, `[batch, pos]`. Left out, texts have their own, and ids that of `paddingSide`. */
  readonly attentionMask?: Tensor | readonly (readonly number[])[] | null;
  /**
   * What came before the input, from `createKvCache`: the input is run after it and added to it. The `attentionMask` may
   * be that of the input or of both.
   */
  readonly pastKvCache?: KeyValueCache | null;
}

/** How far a forward is. */
export interface Progress {
  /** Blocks that have run. */
  readonly done: number;
  /** Blocks that were to run; fewer do where nobody asks for what comes later. */
  readonly total: number;
}

/** Options of the asynchronous calls. */
export interface AsyncOptions {
  /** Ends the forward after the block that is running; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called after each block. What it throws ends the forward. */
  readonly onProgress?: (progress: Progress) => void;
}

/** The names of {@link AsyncOptions}. */
export const ASYNC_KEYS: ReadonlySet<string> = new Set(["signal", "onProgress"]);

/** The names of the options. */
export const FORWARD_KEYS: ReadonlySet<string> = new Set([
  "returnType",
  "lossPerToken",
  "prependBos",
  "paddingSide",
  "startAtLayer",
  "stopAtLayer",
  "tokens",
  "attentionMask",
  "pastKvCache",
]);

/** `[batch, pos, d_vocab]` */
export type Logits = Tensor<readonly ["batch", "pos", "d_vocab"]>;

/** What `forward` gives with `returnType: "both"`. */
export interface LogitsAndLoss {
  /** The logits, `[batch, pos, d_vocab]`. */
  readonly logits: Logits;
  /** The mean cross-entropy of the next tokens in nats, one element; with `lossPerToken` `[batch, pos - 1]`, axes `batch` and `pos`. */
  readonly loss: Tensor;
}

/**
 * What `forward` gives for these options: the residual stream `[batch, pos, d_model]` with `stopAtLayer`, else what
 * `returnType` says.
 */
export type ForwardOutput<R extends ReturnType, Stop extends number | null> = [Stop] extends [number]
  ? Tensor<readonly ["batch", "pos", "d_model"]>
  : R extends "logits"
    ? Logits
    : R extends "loss"
      ? Tensor
      : R extends "both"
        ? LogitsAndLoss
        : null;
