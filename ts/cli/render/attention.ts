import { tokenLabel } from "../../viz/token-label.ts";
import { attentionShade } from "./bars.ts";
import type { Style } from "./style.ts";
import { toWidth } from "./token-label.ts";

const labelWidth = 12;

/**
 * An attention pattern as a triangle of shaded cells: a row a query, a column a key. Long prompts show their last
 * positions, as many as fit.
 *
 * @param pattern `[query, key]`, rows sum to 1.
 */
export function attentionPicture(
  pattern: readonly (readonly number[])[],
  tokens: readonly { readonly text: string }[],
  style: Style,
): string[] {
  const cell = 2;
  const gutter = String(tokens.length).length + 1 + labelWidth + 2;
  const room = Math.max(4, Math.floor((style.width - gutter - 2) / cell));
  const first = Math.max(0, tokens.length - room);
  const shown = tokens
    .slice(first)
    .map((token, i) => ({ position: first + i, label: tokenLabel(token.text) }));

  const lines: string[] = [];
  if (first > 0) lines.push(style.quiet(`  positions 0 to ${first - 1} are left out (terminal too narrow)`));
  // Numbers of two digits would touch: then every other column has one.
  const step = tokens.length > 10 ? 2 : 1;
  const header = shown
    .filter((_, i) => i % step === 0)
    .map(({ position }) =>
      String(position % 100)
        .padStart(cell)
        .padEnd(cell * step),
    )
    .join("")
    .trimEnd();
  lines.push(" ".repeat(gutter + 2) + style.quiet(header));
  for (const { position, label } of shown) {
    const row = pattern[position] ?? [];
    const cells = shown
      .filter((key) => key.position <= position || (row[key.position] ?? 0) > 0)
      .map((key) => attentionShade(row[key.position] ?? 0).repeat(cell));
    const name = `${String(position).padStart(gutter - labelWidth - 3)} ${toWidth(label, labelWidth)}`;
    lines.push(`  ${name}  ${cells.join("")}`.trimEnd());
  }
  return lines;
}

/** Where one position looks: its strongest keys, as `3 ·God 62.0 %`. */
export function strongestKeys(
  row: readonly number[],
  tokens: readonly { readonly text: string }[],
  count: number,
): { readonly position: number; readonly label: string; readonly share: number }[] {
  return row
    .map((share, position) => ({ position, label: tokenLabel(tokens[position]?.text ?? ""), share }))
    .sort((a, b) => b.share - a.share)
    .slice(0, count)
    .filter(({ share }) => share > 0);
}
