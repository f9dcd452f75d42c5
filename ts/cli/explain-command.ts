import { Command, InvalidArgumentError } from "commander";
import type { ExplainOptions } from "../analysis/explain.ts";
import type { ExplainReport } from "../analysis/explain-report.ts";
import { safeText } from "../viz/token-label.ts";
import { jsonText } from "./json-text.ts";
import { loadModel, quietFor } from "./load-model.ts";
import type { Terminal } from "./program.ts";
import { type ProgressBar, withProgress } from "./progress.ts";
import { renderExplain } from "./render/explain.ts";
import { createStyle } from "./render/style.ts";
import { writeReport } from "./report-file.ts";

interface Options {
  readonly model: string;
  readonly json?: true;
  /** Where the page goes; false for nowhere. */
  readonly html?: string | false;
  readonly top: number;
  readonly answer?: string;
  readonly head?: { readonly layer: number; readonly head: number };
  readonly width?: number;
  readonly color: boolean;
}

const example = `
Example:
  $ hooklens explain "And God said, Let there be"
  $ hooklens explain "In the beginning" --model ./gpt2 --answer " God" --head 5.1
  $ hooklens explain "In the beginning" --json | jq .headAblation.effects
  $ hooklens explain "In the beginning" --html report.html

How to read it:
  logit lens             the residual stream after each block, read as if it were the last: where the answer appears;
                         rank counts the better tokens, so 0 is the best guess
  effect of ablating     the answer's logit without the head's output, minus the logit with it; negative: the head helps
  attention              how much each position (row) looks at each earlier one (column)
  gradient × activation  how much each token's embedding moves the answer's logit, to first order

The report is one HTML file with all of this and the attention of every head. It needs no network. It is written to
hooklens-report.html in the working directory; with --json only where --html asks for it.

Colours are used on a terminal only; NO_COLOR or --no-color turns them off.`;

/** Reads a whole number of a range. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`Expected a whole number ${range}.`);
  };
}

function headName(text: string): { layer: number; head: number } {
  const [, layer, head] = /^L?(\d+)[.H](\d+)$/i.exec(text) ?? [];
  if (layer === undefined || head === undefined) {
    throw new InvalidArgumentError("Expected a layer and a head such as 2.1 or L2H1.");
  }
  return { layer: Number(layer), head: Number(head) };
}

/** Colour where a person looks at it, and as NO_COLOR and FORCE_COLOR say (no-color.org, force-color.org). */
export function wantsColor(asked: boolean, terminal: Terminal): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = terminal.env;
  if (!asked || (NO_COLOR !== undefined && NO_COLOR !== "")) return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== "" && FORCE_COLOR !== "0") return true;
  return terminal.isTTY && TERM !== "dumb";
}

/** `hooklens explain`. The library is loaded when the command runs, so that help and bad options need no engine. */
export function explainCommand(terminal: Terminal): Command {
  return new Command("explain")
    .description("Run a prompt and show why the model predicts what it predicts.")
    .argument("<prompt>", "the text that the model is to continue")
    .option("-m, --model <directory>", "a model directory, builtin:tiny or builtin:induction", "builtin:tiny")
    .option("-a, --answer <text>", "explain this next token instead of the most probable one")
    .option("-n, --top <count>", "how many next tokens to show", wholeNumber(1), 5)
    .option(
      "--head <layer.head>",
      "draw this head's attention instead of the one that matters most",
      headName,
    )
    .option("--html <file>", "where to write the report as a page")
    .option("--no-html", "write no report")
    .option("--json", "print the same as data")
    .option("--width <columns>", "columns to fill, by default those of the terminal", wholeNumber(1, 1000))
    .option("--no-color", "never use colour")
    .option("--debug", "print the stack of an error")
    .addHelpText("after", example)
    .action(async (prompt: string, options: Options) => {
      if (/^builtin:\w+$/.test(prompt)) {
        terminal.err(
          `note: this explains the text ${JSON.stringify(prompt)}; a model is named by --model ${prompt}\n`,
        );
      }
      const { explain } = await import("../analysis/explain.ts");
      const quiet = quietFor(options.json, terminal);
      const model = await loadModel(options.model, quiet);
      const asked: ExplainOptions = {
        modelName: options.model,
        top: options.top,
        ...(options.answer === undefined ? {} : { answer: options.answer }),
        ...(options.head === undefined ? {} : { head: options.head }),
      };
      const explained = (onProgress: ProgressBar["update"]) =>
        explain(model, prompt, { ...asked, onProgress });
      let report: ExplainReport;
      try {
        report = await withProgress("explaining", quiet, explained);
      } finally {
        model.dispose();
      }
      const written = await writePage(report, options, terminal);
      if (options.json) {
        terminal.out(`${jsonText(report)}\n`);
        return;
      }
      const style = createStyle({
        color: wantsColor(options.color, terminal),
        width: options.width ?? Math.min(terminal.columns ?? 100, 120),
      });
      terminal.out(renderExplain(report, style));
      if (written !== null) terminal.out(`\n${style.title("Report")}  ${safeText(written)}\n`);
    });
}

/** Writes the report as a page if it is wanted, and gives its path. */
async function writePage(
  report: ExplainReport,
  { html, json }: Options,
  terminal: Terminal,
): Promise<string | null> {
  if (html === false || (html === undefined && json)) return null;
  const { explainPicture } = await import("../viz/explain-page.ts");
  return withProgress("writing the report", quietFor(json, terminal), (onProgress) =>
    writeReport(explainPicture(report, { onProgress }).toPage(), html, terminal.cwd),
  );
}
