/** Finished pictures: markup that brings its own styles and script, as part of a page or as a page of its own. */

import { hooklensError } from "../engine/errors.ts";
import { requireIterable, requireText } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
import { CLIENT_SCRIPT, CLIENT_SCRIPT_HASH } from "./client-script.ts";
import { type Html, html, markup } from "./html.ts";
import { styles } from "./style.ts";

/** The key under which Deno's Jupyter kernel looks for how a value wants to be shown. */
const display = Symbol.for("Jupyter.display");

/** A value in the forms that a notebook can choose from, by MIME type. */
export interface MediaBundle {
  /** For frontends that show HTML. */
  readonly "text/html": string;
  /** For all others. */
  readonly "text/plain": string;
}

/**
 * Something to look at, made by {@link attentionPatterns}, {@link heatmap} and their like. In a notebook it shows
 * itself. It needs no network: fonts are the system's, styles and script are inside.
 *
 * @example
 * ```ts
 * const picture = heatmap([[1, -2], [0.5, 3]], { title: "Effects" });
 * picture.toPage();   // a whole HTML document
 * picture.toString(); // markup to put into a page of one's own
 * ```
 */
export class Picture {
  /** What it shows, in some words. */
  readonly title: string;
  readonly #body: Html;
  readonly #fillsPage: boolean;

  /** @internal */
  constructor(title: string, body: Html, fillsPage = false) {
    this.title = title;
    this.#body = body;
    this.#fillsPage = fillsPage;
  }

  /** The markup without styles and script, for pages that have them from elsewhere. @internal */
  get body(): Html {
    return this.#body;
  }

  /** Markup with its styles and script, to put into a page. Several pictures may stand in one page. */
  toString(): string {
    const inside = html`<style>${markup(styles)}</style><script>${markup(CLIENT_SCRIPT)}</script>`;
    return html`<div class="hl">${inside}${this.#body}</div>`.text;
  }

  /** A whole HTML document. It forbids itself every connection and every script but its own. */
  toPage(): string {
    const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src '${CLIENT_SCRIPT_HASH}'; base-uri 'none'; form-action 'none'`;
    const body = this.#fillsPage
      ? this.#body
      : html`<main><h1>${this.title}</h1><section>${this.#body}</section></main>`;
    return html`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${this.title}</title>
<style>${markup(styles)}</style></head>
<body class="hl-page"><div class="hl">
${body}
</div>
<script>${markup(CLIENT_SCRIPT)}</script></body></html>
`.text;
  }

  /** What notebooks show. @internal */
  [display](): MediaBundle {
    return { "text/html": this.toString(), "text/plain": `Picture(${this.title})` };
  }
}

/**
 * One picture of several: below each other, each under its title.
 *
 * @example
 * ```ts
 * const pictures = [heatmap([[1, 2]], { title: "One" }), heatmap([[3, 4]], { title: "Two" })];
 * stackPictures("Both", pictures).toPage();
 * ```
 */
export function stackPictures(title: string, pictures: readonly Picture[]): Picture {
  requireIterable("stackPictures", "a list of pictures", pictures);
  const list = [...pictures];
  for (const picture of list) {
    if (picture instanceof Picture) continue;
    throw hooklensError("invalid_argument", `stackPictures: expected pictures, got ${describe(picture)}`);
  }
  requireText("stackPictures", "a title", title);
  const sections = list.map((picture) => html`<section><h2>${picture.title}</h2>${picture.body}</section>`);
  return new Picture(title, html`<main><h1>${title}</h1>${sections}</main>`, true);
}
