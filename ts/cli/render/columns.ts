import { displayWidth, toWidth } from "./token-label.ts";

export interface Column {
  readonly align?: "left" | "right";
  /** Columns of the terminal; by default as many as the longest cell. */
  readonly width?: number;
  readonly paint?: (text: string) => string;
}

/** Lines of cells in aligned columns, two spaces apart. Colour is added after measuring. */
export function columns(rows: readonly (readonly string[])[], layout: readonly Column[]): string[] {
  const widths = layout.map(
    (column, i) => column.width ?? Math.max(0, ...rows.map((row) => displayWidth(row[i] ?? ""))),
  );
  return rows.map((row) =>
    layout
      .map((column, i) => {
        const cell = toWidth(row[i] ?? "", widths[i] ?? 0, column.align ?? "left");
        return column.paint ? column.paint(cell) : cell;
      })
      .join("  ")
      .trimEnd(),
  );
}
