/** Tokens in pages. */

import { type Html, html } from "./html.ts";
import { tokenLabel } from "./token-label.ts";

/** Characters of a token that are shown. */
const longest = 40;

/** The label of a token, cut where it would push everything else aside. */
export function shortLabel(text: string): string {
  const characters = [...tokenLabel(text)];
  return characters.length <= longest ? characters.join("") : `${characters.slice(0, longest - 1).join("")}…`;
}

/** A token as a word in a code font, its signs for spaces set back. */
export function tokenHtml(text: string): Html {
  const label = shortLabel(text);
  return label.startsWith("·") ? html`<i>·</i>${label.slice(1)}` : html`${label}`;
}

/** A name for people, or a token: spaces inside it stay spaces. */
export function nameHtml(text: string): Html {
  const [, before = "", inside = "", after = ""] = /^(\s*)(.*?)(\s*)$/su.exec(text) ?? [];
  if (inside === "") return tokenHtml(text);
  const words = inside.split(" ").map((word) => (word === "" ? "" : tokenLabel(word)));
  const edge = (space: string) => (space === "" ? null : html`<i>${tokenLabel(space)}</i>`);
  return html`${edge(before)}${words.join(" ")}${edge(after)}`;
}
