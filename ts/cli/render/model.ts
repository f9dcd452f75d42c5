/** A model's summary as text for people. */

import { safeText } from "../../viz/token-label.ts";
import type { ModelSummary, PointSummary } from "../model-summary.ts";
import { columns } from "./columns.ts";
import type { Style } from "./style.ts";
import { displayWidth, toWidth } from "./token-label.ts";

/** `1,234,567` */
function counted(count: number): string {
  return count.toLocaleString("en-US");
}

/** `3.7 MB`, in powers of ten. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  return `${step === 0 ? bytes : (bytes / 1000 ** step).toFixed(1)} ${units[step]}`;
}

/** `[batch, pos, d_model 128]` */
export function shapeText({ axes, shape }: PointSummary): string {
  return `[${axes.map((axis, i) => (shape[i] === null || shape[i] === undefined ? axis : `${axis} ${shape[i]}`)).join(", ")}]`;
}

/** Everything about a model. */
export function renderInfo(summary: ModelSummary, style: Style): string {
  const { config, parameters, memory } = summary;
  const architecture = safeText(config.original_architecture ?? "reference-native");
  const dtypes = [...new Set(parameters.list.map(({ dtype }) => dtype))].join(", ");
  const lines = [
    `${style.strong(safeText(summary.model))}  ${style.quiet(`${architecture}, ${config.n_layers} layers × ${config.n_heads} heads, d_model ${config.d_model}`)}`,
    "",
    style.title("Configuration"),
    ...configLines(config, style),
    "",
    style.title("Parameters"),
    `  ${counted(parameters.count)} numbers in ${parameters.list.length} weights${config.tie_word_embeddings ? " (W_U is W_E transposed)" : ""}, ${bytesText(parameters.bytes)} as ${dtypes}`,
    `  ${style.quiet(`n_params counts attention and MLPs only: ${counted(config.n_params)}`)}`,
    "",
    style.title("Memory"),
    `  ${bytesText(memory)} held by the engine for the model; weights that share their memory count once`,
    "",
    `${style.title(`Hook points (${summary.hookPoints.length})`)}  ${style.quiet("* stands for each block; + is recorded only when named")}`,
    ...pointLines(foldBlocks(summary.hookPoints, config.n_layers), style),
  ];
  return `${lines.join("\n")}\n`;
}

/** A list of hook points. */
export function renderPoints(points: readonly PointSummary[], style: Style): string {
  return `${pointLines(points, style).join("\n")}\n`;
}

function configLines(config: ModelSummary["config"], style: Style): string[] {
  const all = Object.entries(config);
  const isOff = (value: unknown) => value === null || value === false;
  const entries = all
    .filter(([, value]) => !isOff(value))
    .map(([key, value]) => [key, safeText(Array.isArray(value) ? value.join(",") : String(value))] as const);
  const off = all.filter(([, value]) => isOff(value)).map(([key]) => key);
  const keys = Math.max(...entries.map(([key]) => displayWidth(key)));
  const values = Math.min(24, Math.max(...entries.map(([, value]) => displayWidth(value))));
  const across = Math.max(1, Math.floor((style.width - 2) / (keys + values + 4)));
  const down = Math.ceil(entries.length / across);
  const lines = Array.from({ length: down }, (_, row) => {
    const cells = Array.from({ length: across }, (_, column) => entries[column * down + row]);
    const texts = cells.map((cell) =>
      cell === undefined ? "" : `${style.quiet(toWidth(cell[0], keys))}  ${toWidth(cell[1], values)}`,
    );
    return `  ${texts.join("  ")}`.trimEnd();
  });
  return [
    ...lines,
    ...wrapped(`none or off: ${off.join(", ")}`, style.width - 2).map((line) => style.quiet(`  ${line}`)),
  ];
}

/** Lines of words, none longer than `width` unless a word is. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** One entry for the points that all blocks have alike, under a name with a star; the others as they are. */
export function foldBlocks(points: readonly PointSummary[], layers: number): PointSummary[] {
  const keyOf = (point: PointSummary) =>
    JSON.stringify([
      point.name.replace(/^blocks\.\d+\./, "blocks.*."),
      point.axes,
      point.shape,
      point.default,
    ]);
  const counts = new Map<string, number>();
  for (const point of points) counts.set(keyOf(point), (counts.get(keyOf(point)) ?? 0) + 1);
  const seen = new Set<string>();
  return points.flatMap((point) => {
    const key = keyOf(point);
    if (!point.name.startsWith("blocks.") || counts.get(key) !== layers) return [point];
    if (seen.has(key)) return [];
    seen.add(key);
    return [{ ...point, name: point.name.replace(/^blocks\.\d+\./, "blocks.*.") }];
  });
}

function pointLines(points: readonly PointSummary[], style: Style): string[] {
  return columns(
    points.map((point) => ["", safeText(point.name), point.default ? "" : "+", shapeText(point)]),
    [{ width: 0 }, {}, { width: 1 }, { paint: style.quiet }],
  );
}
