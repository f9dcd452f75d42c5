import picocolors from "picocolors";

/** How to draw: colours are functions that return their input when colour is off. */
export interface Style {
  readonly title: (text: string) => string;
  readonly quiet: (text: string) => string;
  readonly strong: (text: string) => string;
  /** For what raises the answer's logit. */
  readonly positive: (text: string) => string;
  /** For what lowers it. */
  readonly negative: (text: string) => string;
  /** Columns to fill. */
  readonly width: number;
}

/** The narrowest picture that is still readable. */
export const minimumWidth = 60;

export function createStyle(options: { readonly color: boolean; readonly width: number }): Style {
  const colors = picocolors.createColors(options.color);
  return {
    title: (text) => colors.bold(colors.cyan(text)),
    quiet: colors.dim,
    strong: colors.bold,
    positive: colors.green,
    negative: colors.red,
    width: Math.max(minimumWidth, options.width),
  };
}
