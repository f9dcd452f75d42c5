/**
 * An {@link ExplainReport} as text for people. Nothing is computed here and nothing is asked of a model: a report read
 * back from `--json` draws the same.
 */
import type { Candidate, ExplainReport } from "../../analysis/explain-report.ts";
import { percent, signed } from "../../viz/numbers.ts";
import { safeText, tokenLabel } from "../../viz/token-label.ts";
import { attentionPicture, strongestKeys } from "./attention.ts";
import { bar, signedBar } from "./bars.ts";
import { columns } from "./columns.ts";
import { heatTable } from "./heat.ts";
import type { Style } from "./style.ts";
import { toWidth } from "./token-label.ts";

const tokenWidth = 14;

/** The whole report, ready to print, with a final line break. */
export function renderExplain(report: ExplainReport, style: Style): string {
  const sections = [heading, tokens, next, lens, lensByPosition, ablation, attention, attribution];
  return `${sections.map((section) => section(report, style).join("\n")).join("\n\n")}\n`;
}

function heading({ model, answer }: ExplainReport, style: Style): string[] {
  const size = `${model.nLayers} layers × ${model.nHeads} heads, d_model ${model.dModel}, vocabulary ${model.dVocab}`;
  const about =
    answer.chosenBy === "user" ? `asked for, rank ${answer.rank} from 0` : "the most probable next token";
  return [
    `${style.strong(safeText(model.name))}  ${style.quiet(size)}`,
    `answer: ${style.strong(tokenLabel(answer.text))}  ${style.quiet(`(${about}; · is a space, ⏎ a line break)`)}`,
  ];
}

function tokens({ tokens }: ExplainReport, style: Style): string[] {
  const lines: string[] = [];
  let line = "";
  let taken = 0;
  for (const { position, text } of tokens) {
    const label = tokenLabel(text);
    const length = String(position).length + 1 + label.length + 2;
    if (taken > 0 && taken + length > style.width - 2) {
      lines.push(line);
      [line, taken] = ["", 0];
    }
    line += `${taken === 0 ? "  " : "  "}${style.quiet(String(position))} ${label}`;
    taken += length;
  }
  return [style.title(`Tokens (${tokens.length})`), ...lines, line];
}

function next({ next, answer }: ExplainReport, style: Style): string[] {
  const scale = Math.max(...next.map((c) => c.probability), answer.probability);
  const shown: Candidate[] = [...next];
  if (!next.some((c) => c.id === answer.id)) shown.push(answer);
  const rows = shown.map((c) => [
    "",
    tokenLabel(c.text) + (c.id === answer.id ? " *" : ""),
    percent(c.probability),
    signed(c.logit),
    bar(scale > 0 ? c.probability / scale : 0, Math.max(10, style.width - tokenWidth - 28)),
  ]);
  return [
    `${style.title("Next token")}  ${style.quiet("probability, logit; * is the answer")}`,
    ...columns(rows, [
      { width: 0 },
      { width: tokenWidth },
      { align: "right", width: 8 },
      { align: "right", width: 7 },
      { paint: style.positive },
    ]),
  ];
}

function layerName(blocks: number): string {
  return blocks === 0 ? "embedding" : `block ${blocks - 1}`;
}

function lens({ logitLens, answer }: ExplainReport, style: Style): string[] {
  const guesses = Math.max(1, Math.min(3, Math.floor((style.width - 36) / 18)));
  const rows = logitLens.map((row) => [
    "",
    layerName(row.blocks),
    ...Array.from({ length: guesses }, (_, i) => {
      const guess = row.top[i];
      return guess === undefined
        ? ""
        : `${toWidth(tokenLabel(guess.text), 8)} ${percent(guess.probability).padStart(7)}`;
    }),
    percent(row.answer.probability),
    String(row.answer.rank),
  ]);
  const header = ["", "after", "best guesses", ...Array<string>(guesses - 1).fill(""), "answer", "rank"];
  const lines = columns(
    [header, ...rows],
    [{ width: 0 }, {}, ...Array(guesses).fill({ width: 16 }), { align: "right" }, { align: "right" }],
  );
  const [head, ...body] = lines;
  return [
    `${style.title("Logit lens")}  ${style.quiet(`what each layer would say next, where ${tokenLabel(answer.text)} stands (rank 0: the best)`)}`,
    style.quiet(head ?? ""),
    ...body,
  ];
}

function lensByPosition({ logitLens, tokens }: ExplainReport, style: Style): string[] {
  const cell = 9;
  const gutter = 13;
  const room = Math.max(1, Math.floor((style.width - gutter) / (cell + 1)));
  const shown = tokens.slice(-room);
  const row = (name: string, cells: readonly string[]) =>
    `  ${toWidth(name, gutter - 2)}${cells.map((text) => toWidth(text, cell)).join(" ")}`.trimEnd();
  return [
    `${style.title("Logit lens by position")}  ${style.quiet("the best guess after each layer at the last positions")}`,
    style.quiet(
      row(
        "token",
        shown.map((token) => tokenLabel(token.text)),
      ),
    ),
    ...logitLens.map((lens) =>
      row(
        layerName(lens.blocks),
        shown.map((token) => tokenLabel(lens.best[token.position]?.text ?? "")),
      ),
    ),
  ];
}

function ablation({ headAblation, answer, attention }: ExplainReport, style: Style): string[] {
  const explained = `change of the logit of ${tokenLabel(answer.text)} (${signed(headAblation.baseline).trim()}) when a head's output is zeroed; * is drawn below`;
  return [
    `${style.title("Effect of ablating each head")}`,
    style.quiet(`  ${explained}`),
    ...heatTable(headAblation.effects, attention, style),
  ];
}

function attention({ attention, tokens }: ExplainReport, style: Style): string[] {
  const { layer, head, effect, pattern } = attention;
  const last = tokens.length - 1;
  const keys = strongestKeys(pattern[last] ?? [], tokens, 3).map(
    ({ position, label, share }) => `${position} ${label} ${percent(share)}`,
  );
  const why = attention.chosenBy === "effect" ? "the largest effect" : "asked for; its effect is";
  return [
    `${style.title(`Attention of layer ${layer}, head ${head}`)}  ${style.quiet(`${why} ${signed(effect).trim()}`)}`,
    style.quiet("  rows look at columns: ░ from 2 %, ▒ 10 %, ▓ 30 %, █ 60 %"),
    ...attentionPicture(pattern, tokens, style),
    `  ${style.quiet("the last position looks at")} ${keys.join(", ")}`,
  ];
}

function attribution({ attribution, tokens, answer }: ExplainReport, style: Style): string[] {
  const largest = Math.max(0, ...attribution.values.map((v) => (Number.isFinite(v) ? Math.abs(v) : 0)));
  const half = Math.max(8, Math.floor((style.width - tokenWidth - 18) / 2));
  const lines = tokens.map(({ position, text }) => {
    const value = attribution.values[position] ?? Number.NaN;
    const { left, right } = signedBar(value, largest, half);
    const name = `${String(position).padStart(3)} ${toWidth(tokenLabel(text), tokenWidth)}`;
    return `  ${name} ${signed(value, 3).padStart(8)} ${style.negative(left)}${style.quiet("│")}${style.positive(right)}`.trimEnd();
  });
  return [
    `${style.title("Gradient × activation")}  ${style.quiet(`of ${attribution.hook}, towards the logit of ${tokenLabel(answer.text)}`)}`,
    ...lines,
  ];
}
