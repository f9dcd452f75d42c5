/**
 * What `hooklens explain` found out about one prompt, as plain data: the same object is printed by `--json`, drawn as
 * text by the command line, and returned by {@link explain}.
 */

/** A token of the vocabulary with what the model thinks of it at some position. */
export interface Candidate {
  /** Its id in the vocabulary. */
  readonly id: number;
  /** The token alone, decoded; a token that is part of a character decodes to U+FFFD. */
  readonly text: string;
  /** The model's score, before the softmax. */
  readonly logit: number;
  /** Softmax of the logits, 0 to 1. */
  readonly probability: number;
}

/** A token of the prompt. Position 0 is the start token where the model uses one. */
export interface PromptToken {
  /** Place in the prompt, from 0. */
  readonly position: number;
  /** Its id in the vocabulary. */
  readonly id: number;
  /** The token alone, decoded. */
  readonly text: string;
}

/** What the model would say if it stopped here: this residual stream through the final norm and the unembedding. */
export interface LensRow {
  /** The hook point that was read, such as `blocks.0.hook_resid_pre`. */
  readonly hook: string;
  /** Blocks that have run: 0 is the embedding, `nLayers` the model's own output. */
  readonly blocks: number;
  /** The best tokens at the last position, best first. */
  readonly top: readonly Candidate[];
  /** The answer at the last position. */
  readonly answer: {
    /** Softmax of the logits, 0 to 1. */
    readonly probability: number;
    /** The score, before the softmax. */
    readonly logit: number;
    /** How many tokens are better, so that 0 is the best. */
    readonly rank: number;
  };
  /** The best token at each position. */
  readonly best: readonly Candidate[];
}

/** The attention patterns of all heads, for some positions of the prompt. */
export interface HeadPatterns {
  /** The positions that rows and columns stand for, ascending. */
  readonly positions: readonly number[];
  /**
   * `[layer, head, query, key]`: how much of its attention each of these positions pays to each, rounded to 6 decimals.
   * Rows sum to 1 where no position was left out.
   */
  readonly shares: readonly (readonly (readonly (readonly number[])[])[])[];
}

/** Everything that {@link explain} finds out. Plain data: it survives a trip through JSON unchanged. */
export interface ExplainReport {
  /** Version of this form. It changes when a field changes its meaning. */
  readonly version: 1;
  /** The model that was asked. */
  readonly model: {
    /** What the report calls it. */
    readonly name: string;
    /** Number of blocks. */
    readonly nLayers: number;
    /** Number of query heads of a block. */
    readonly nHeads: number;
    /** Width of the residual stream. */
    readonly dModel: number;
    /** Longest sequence in tokens. */
    readonly nCtx: number;
    /** Number of tokens in the vocabulary. */
    readonly dVocab: number;
  };
  /** The text as it was given. */
  readonly prompt: string;
  /** The prompt as the model reads it. */
  readonly tokens: readonly PromptToken[];
  /** The most probable next tokens, best first. */
  readonly next: readonly Candidate[];
  /** The next token that everything below is about. Rank 0 is the most probable. */
  readonly answer: Candidate & {
    /** How many tokens are more probable. */
    readonly rank: number;
    /** Whether it is the model's own first choice or was asked for. */
    readonly chosenBy: "model" | "user";
  };
  /** From the embedding up, one row more than the model has blocks. */
  readonly logitLens: readonly LensRow[];
  /** What the answer's logit loses or gains without each head. */
  readonly headAblation: {
    /** The answer's logit with every head in place. */
    readonly baseline: number;
    /**
     * `[layer, head]`: the answer's logit with this head's output (`hook_z`) set to zero at every position, minus the
     * baseline. Negative: the head speaks for the answer.
     */
    readonly effects: readonly (readonly number[])[];
  };
  /** The head with the largest effect, or the one that was asked for. */
  readonly attention: {
    /** From 0. */
    readonly layer: number;
    /** Number within the layer, from 0. */
    readonly head: number;
    /** Its effect in {@link headAblation}. */
    readonly effect: number;
    /** Whether its effect is the largest or it was asked for. */
    readonly chosenBy: "effect" | "user";
    /** `[query, key]`: how much of its attention each position pays to each. Rows sum to 1. */
    readonly pattern: readonly (readonly number[])[];
  };
  /** Attention of every head, at the positions that {@link ExplainOptions.patternPositions} leaves. */
  readonly patterns: HeadPatterns;
  /** Length of the residual stream's vectors. */
  readonly residualNorms: {
    /** Where it was read: before each block, and after the last. */
    readonly hooks: readonly string[];
    /** `[nLayers + 1, pos]`: the Euclidean norm over `d_model`. */
    readonly values: readonly (readonly number[])[];
  };
  /** How much each token of the prompt speaks for the answer, to first order. */
  readonly attribution: {
    /** Where activation and gradient were read. */
    readonly hook: string;
    /** By position: the sum over `d_model` of activation × gradient of the answer's logit. */
    readonly values: readonly number[];
  };
}
