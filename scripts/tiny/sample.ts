/** Text that a model writes, for looking at. */
import type { Tokenizer } from "@huggingface/tokenizers";
import type { TinyModel } from "./model.ts";
import { Random } from "./random.ts";
import { startToken } from "./tokens.ts";

/** Settings of {@link sampleText}. */
export interface SampleOptions {
  readonly tokens: number;
  readonly temperature: number;
  /** Only the likeliest so many tokens are drawn from. */
  readonly topK: number;
  readonly seed: number;
}

/** Continues a prompt until the model ends the chapter or `tokens` are written. */
export function sampleText(
  model: TinyModel,
  tokenizer: Tokenizer,
  prompt: string,
  options: SampleOptions,
): string {
  const random = new Random(options.seed);
  const ids: number[] = [startToken, ...(tokenizer.encode(prompt).ids as number[])];
  for (let i = 0; i < options.tokens && ids.length < model.config.n_ctx; i++) {
    const logits = model.nextLogits(ids);
    const best = Array.from(logits.keys())
      .sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0))
      .slice(0, options.topK);
    const top = logits[best[0] ?? 0] ?? 0;
    const weights = best.map((id) => Math.exp(((logits[id] ?? 0) - top) / options.temperature));
    let left = random.next() * weights.reduce((sum, weight) => sum + weight, 0);
    const drawn = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    const id = best[Math.max(0, drawn)] ?? startToken;
    if (id === startToken) break;
    ids.push(id);
  }
  return tokenizer.decode(ids.slice(1), { skip_special_tokens: false });
}
