/** Markup that cannot be broken out of: whatever is put into {@link html} is escaped, unless it is markup itself. */

/** Text that is markup. Only {@link html} and {@link markup} make it. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What {@link html} takes. Lists are joined; null and false leave nothing. */
export type HtmlPart = string | number | Html | null | false | readonly HtmlPart[];

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text for the inside of an element or of a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => escapes[c] ?? c);
}

function partText(part: HtmlPart): string {
  if (part === null || part === false) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "string") return escapeHtml(part);
  return typeof part === "number" ? String(part) : part.map(partText).join("");
}

/** A template whose values are escaped. Attributes that hold values must be quoted, but for numbers and class names. */
export function html(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  return new Html(
    strings.map((text, i) => (i === 0 ? text : partText(parts[i - 1] ?? null) + text)).join(""),
  );
}

/** Text that is known to be markup: styles, scripts and classes of our own. */
export function markup(text: string): Html {
  return new Html(text);
}
