import { Command, InvalidArgumentError } from "commander";
import type { ExplainOptions } from "../analysis/explain.ts";
import type { Terminal } from "./program.ts";
import { renderExplain } from "./render/explain.ts";
import { createStyle } from "./render/style.ts";

interface Options {
  readonly model: string;
  readonly json?: true;
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

How to read it:
  logit lens             the residual stream after each block, read as if it were the last: where the answer appears
  effect of ablating     the answer's logit without the head's output, minus the logit with it; negative: the head helps
  attention              how much each position (row) looks at each earlier one (column)
  gradient × activation  how much each token's embedding moves the answer's logit, to first order

Colours are used on a terminal only; NO_COLOR or --no-color turns them off.`;

function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
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
function wantsColor(asked: boolean, terminal: Terminal): boolean {
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
    .option("--json", "print the same as data")
    .option("--width <columns>", "columns to fill, by default those of the terminal", wholeNumber(1, 1000))
    .option("--no-color", "never use colour")
    .option("--debug", "print the stack of an error")
    .addHelpText("after", example)
    .action(async (prompt: string, options: Options) => {
      const { explain } = await import("../analysis/explain.ts");
      const { HookedTransformer } = await import("../models/hooked-transformer.ts");
      const model = await HookedTransformer.fromPretrained(options.model);
      const asked: ExplainOptions = {
        modelName: options.model,
        top: options.top,
        ...(options.answer === undefined ? {} : { answer: options.answer }),
        ...(options.head === undefined ? {} : { head: options.head }),
      };
      const report = explain(model, prompt, asked);
      if (options.json) {
        terminal.out(`${JSON.stringify(report, null, 2)}\n`);
        return;
      }
      const color = wantsColor(options.color, terminal);
      const width = options.width ?? Math.min(terminal.columns ?? 100, 120);
      terminal.out(renderExplain(report, createStyle({ color, width })));
    });
}
