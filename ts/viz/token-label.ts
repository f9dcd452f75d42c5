/** Text from models and their files, so that a reader sees all of it and it steers nothing. */

const named: Readonly<Record<string, string>> = { "\n": "⏎", "\t": "⇥", "\r": "␍", " ": "·" };

/** Controls, marks of direction, line separators, halves of characters: what is obeyed, or cannot be shown. */
const unseen = String.raw`\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}`;
// Letters of some scripts, and emoji, are joined and parted by these two, which steer nothing.
const joiners = String.raw`\u200c\u200d`;
const unsafe = new RegExp(`(?![${joiners}])[${unseen}]`, "gu");
const unsafeInLines = new RegExp(`(?![\\n\\t${joiners}])[${unseen}]`, "gu");
const unseenOrSpace = new RegExp(`[\\s${unseen}]`, "gu");

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}

/**
 * A text from outside as a terminal may have it: what that would obey instead of showing becomes an escape. With `lines`
 * line breaks and tabs stay.
 */
export function safeText(text: string, { lines = false }: { readonly lines?: boolean } = {}): string {
  return text.replace(lines ? unsafeInLines : unsafe, escaped);
}

/**
 * A token as one visible word: spaces become `·`, line breaks `⏎`, and everything else that a terminal or a browser
 * would obey instead of showing becomes an escape, so that a prompt can steer neither.
 */
export function tokenLabel(text: string): string {
  if (text === "") return "∅";
  return text.replace(unseenOrSpace, (c) => named[c] ?? escaped(c));
}
