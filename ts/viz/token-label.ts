/** Tokens as words that a reader can see whole. */

const named: Readonly<Record<string, string>> = { "\n": "⏎", "\t": "⇥", "\r": "␍", " ": "·" };

/**
 * A token as one visible word: spaces become `·`, line breaks `⏎`, and everything else that a terminal or a browser
 * would obey instead of showing becomes an escape, so that a prompt can steer neither.
 */
export function tokenLabel(text: string): string {
  if (text === "") return "∅";
  return text.replace(
    /[\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (c) => named[c] ?? `\\u{${c.codePointAt(0)?.toString(16)}}`,
  );
}
