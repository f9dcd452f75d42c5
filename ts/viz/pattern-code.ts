/**
 * Attention patterns as short text, for pages that hold hundreds of heads. Shares are kept to a tenth of a per cent.
 *
 * The text is a sequence over 64 characters. A character from 0 to 15 holds the upper four bits of a share in
 * thousandths and the next character the lower six; 1023 stands for a number that is none. A character from 16 to 63
 * stands for 1 to 48 shares of zero. The page's script has the reader.
 */

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const longestRun = 48;
const notANumber = 1023;

/** A share as it is kept: in thousandths, below `least` as 0. */
export function keptShare(share: number, least: number): number {
  if (!Number.isFinite(share)) return notANumber;
  return share < least ? 0 : Math.min(1000, Math.round(1000 * share));
}

/** Shares from 0 to 1 as text; those below `least` become 0. */
export function encodePattern(shares: ArrayLike<number>, least = 0): string {
  const pieces: string[] = [];
  let zeros = 0;
  const endRun = () => {
    for (; zeros > 0; zeros -= longestRun) pieces.push(alphabet[15 + Math.min(zeros, longestRun)] ?? "");
    zeros = 0;
  };
  for (let i = 0; i < shares.length; i++) {
    const kept = keptShare(shares[i] ?? 0, least);
    if (kept === 0) {
      zeros++;
      continue;
    }
    endRun();
    pieces.push(alphabet[kept >> 6] ?? "", alphabet[kept & 63] ?? "");
  }
  endRun();
  return pieces.join("");
}
