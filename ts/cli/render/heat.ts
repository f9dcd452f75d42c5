import { signed } from "../../viz/numbers.ts";
import { shade } from "./bars.ts";
import type { Style } from "./style.ts";
import { toWidth } from "./token-label.ts";

const cellWidth = 9;

/**
 * A table of signed numbers, layers down and heads across, each with a shade for its size against the largest.
 *
 * @param effects `[layer, head]`.
 * @param marked The cell to point at.
 */
export function heatTable(
  effects: readonly (readonly number[])[],
  marked: { readonly layer: number; readonly head: number },
  style: Style,
): string[] {
  const largest = Math.max(
    0,
    ...effects.flat().map((value) => (Number.isFinite(value) ? Math.abs(value) : 0)),
  );
  const heads = Math.max(0, ...effects.map((row) => row.length));
  const gutter = "layer ".length + String(effects.length).length + 2;
  const room = Math.max(1, Math.floor((style.width - gutter) / (cellWidth + 1)));
  const lines: string[] = [];
  for (let first = 0; first < heads; first += room) {
    const shown = Array.from({ length: Math.min(room, heads - first) }, (_, i) => first + i);
    const header = shown.map((head) => toWidth(`head ${head}`, cellWidth, "right")).join(" ");
    lines.push(`${" ".repeat(gutter)}${style.quiet(header)}`);
    for (const [layer, row] of effects.entries()) {
      const cells = shown.map((head) => {
        const value = row[head];
        if (value === undefined) return " ".repeat(cellWidth);
        const share = largest > 0 ? Math.abs(value) / largest : 0;
        const mark = layer === marked.layer && head === marked.head ? "*" : " ";
        const text = toWidth(signed(value) + mark + shade(share).repeat(2), cellWidth, "right");
        return value < 0 ? style.negative(text) : value > 0 ? style.positive(text) : text;
      });
      lines.push(`  ${toWidth(`layer ${layer}`, gutter - 2)}${cells.join(" ")}`.trimEnd());
    }
  }
  return lines;
}
