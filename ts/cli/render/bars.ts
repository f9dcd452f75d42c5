const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of `share` (0 to 1) of `width` columns, to an eighth of a column. Not padded. */
export function bar(share: number, width: number): string {
  const clamped = Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
  const steps = Math.round(clamped * width * 8);
  return "█".repeat(Math.floor(steps / 8)) + (eighths[steps % 8] ?? "");
}

/**
 * A bar to the left or right of an axis, `2 * half + 1` columns wide: `value` over `largest` of `half` columns.
 * Anything but zero shows at least a thin mark.
 */
export function signedBar(value: number, largest: number, half: number): { left: string; right: string } {
  const share = largest > 0 && Number.isFinite(value) ? Math.abs(value) / largest : 0;
  const drawn = bar(share, half);
  if (value >= 0 || share === 0) {
    return { left: " ".repeat(half), right: drawn === "" && share > 0 ? "▏" : drawn };
  }
  // Blocks that fill from the right exist only as whole and half columns.
  const halves = Math.max(1, Math.round(Math.min(1, share) * half * 2));
  const left = (halves % 2 === 1 ? "▐" : "") + "█".repeat(Math.floor(halves / 2));
  return { left: " ".repeat(half - left.length) + left, right: "" };
}

const shades = [" ", "░", "▒", "▓", "█"] as const;

/** A shade for a size relative to the largest, 0 to 1. */
export function shade(share: number): string {
  return shaded(share, [0.02, 0.25, 0.5, 0.75]);
}

/** A shade for a share of attention. Steps grow, because attention over many positions is mostly small shares. */
export function attentionShade(share: number): string {
  return shaded(share, [0.02, 0.1, 0.3, 0.6]);
}

function shaded(share: number, steps: readonly number[]): string {
  return shades[steps.filter((step) => share >= step).length] ?? shades[0];
}
