/** Random tokens that come again: text that only a model that looks back for them can predict. */
import { noGrad, tidy } from "../../ts/tensor/index.ts";
import type { TinyModel } from "./model.ts";
import { Random } from "./random.ts";
import { startToken, type Windows } from "./tokens.ts";

const shortestBlock = 4;
const unpredictableWeight = 0.1;

/** Any token but the start token, all equally likely. */
function draw(random: Random, vocabulary: number): bigint {
  return BigInt(startToken + 1 + random.integer(vocabulary - startToken - 1));
}

/**
 * Rows for training: the start token, then a block of random tokens again and again until the row is full. The block's
 * length is another one in every row, from {@link shortestBlock} to half a row and short ones as likely as long ones (its
 * logarithm is uniform): what repeats at once is learned soonest, and looking back by a fixed distance does not help. Only
 * what can be predicted counts in full, the tokens from the second block's second on: the others add noise, and can
 * teach no more than an even guess.
 */
export function drawRepeats(random: Random, batch: number, window: number, vocabulary: number): Windows {
  const text = window - 1;
  const longest = Math.floor(text / 2);
  const shortest = Math.min(shortestBlock, longest);
  const ids = new BigInt64Array(batch * window);
  const weights = new Float32Array(batch * text);
  for (let row = 0; row < batch; row++) {
    const length = Math.floor(shortest * ((longest + 1) / shortest) ** random.next());
    ids[row * window] = BigInt(startToken);
    for (let i = 0; i < text; i++) {
      const at = row * window + 1 + i;
      ids[at] = i < length ? draw(random, vocabulary) : (ids[at - length] ?? 0n);
      weights[row * text + i] = i > length ? 1 : unpredictableWeight;
    }
  }
  return { ids, batch, weights };
}

/** Rows for measuring: the start token, then `length` random tokens, then the same once more. */
export function repeatedOnce(seed: number, batch: number, length: number, vocabulary: number): Windows {
  const random = new Random(seed);
  const window = 1 + 2 * length;
  const ids = new BigInt64Array(batch * window);
  for (let row = 0; row < batch; row++) {
    ids[row * window] = BigInt(startToken);
    for (let i = 1; i <= length; i++) {
      const id = draw(random, vocabulary);
      ids[row * window + i] = id;
      ids[row * window + length + i] = id;
    }
  }
  return { ids, batch };
}

/** Mean losses of the halves of {@link repeatedOnce}, nats a token. */
export function halfLosses(model: TinyModel, windows: Windows): { first: number; second: number } {
  return noGrad(() =>
    tidy(() => {
      const losses = model.tokenLosses(windows);
      const length = (losses.shape[1] ?? 0) / 2;
      const mean = (from: number): number =>
        losses
          .slice(1, from, from + length)
          .mean()
          .item();
      return { first: mean(0), second: mean(length) };
    }),
  );
}
