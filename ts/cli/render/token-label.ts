import stringWidth from "string-width";

const named: Readonly<Record<string, string>> = { "\n": "⏎", "\t": "⇥", "\r": "␍", " ": "·" };

/**
 * A token as one visible word: spaces become `·`, line breaks `⏎`, and everything else that a terminal would obey
 * instead of showing becomes an escape, so that a prompt cannot steer the terminal.
 */
export function tokenLabel(text: string): string {
  if (text === "") return "∅";
  return text.replace(
    /[\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (c) => named[c] ?? `\\u{${c.codePointAt(0)?.toString(16)}}`,
  );
}

/** Columns that the text takes in a terminal. */
export function displayWidth(text: string): number {
  return stringWidth(text);
}

/** Cut to at most `width` columns, with `…` where something is missing. */
export function clip(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = "";
  for (const character of text) {
    if (displayWidth(kept + character) > width - 1) break;
    kept += character;
  }
  return width > 0 ? `${kept}…` : "";
}

/** Filled with spaces, or cut, to exactly `width` columns. */
export function toWidth(text: string, width: number, align: "left" | "right" = "left"): string {
  const clipped = clip(text, width);
  const space = " ".repeat(Math.max(0, width - displayWidth(clipped)));
  return align === "left" ? clipped + space : space + clipped;
}
