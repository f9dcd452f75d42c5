import { Command, InvalidArgumentError } from "commander";
import {
  type FinishReason,
  type GenerateStreamOptions,
  SAMPLING_KEYS,
  type SamplingOptions,
} from "../models/generate-options.ts";
import { safeText } from "../viz/token-label.ts";
import { wantsColor, wholeNumber } from "./explain-command.ts";
import { jsonText } from "./json-text.ts";
import { loadModel, quietFor } from "./load-model.ts";
import type { Terminal } from "./program.ts";
import { createStyle } from "./render/style.ts";

interface Options extends SamplingOptions {
  readonly maxNewTokens: number;
  readonly greedy?: true;
  readonly stop?: readonly string[];
  readonly eos: boolean;
  readonly bos: boolean;
  readonly cache: boolean;
  readonly json?: true;
  readonly color: boolean;
}

const example = `
Example:
  $ hooklens generate builtin:tiny "In the beginning"
  $ hooklens generate ./gpt2 "Once upon a time" --max-new-tokens 60 --temperature 0.8 --top-p 0.9 --seed 1
  $ hooklens generate ./gpt2 "Q: 2 + 2? A:" --greedy --stop "Q:" --json | jq -r .text

The prompt is printed first and each piece of text as it is written. Ctrl+C ends it.`;

function number(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("Expected a number.");
}

function collect(text: string, before: readonly string[] = []): readonly string[] {
  if (text === "") throw new InvalidArgumentError("Expected a text that is not empty.");
  return [...before, text];
}

/** What was asked for, in the library's words, which are those of the command's options. */
function generateOptions(options: Options): GenerateStreamOptions {
  const sampling: SamplingOptions = Object.fromEntries(
    Object.entries(options).filter(([name]) => SAMPLING_KEYS.has(name)),
  );
  return {
    ...sampling,
    maxNewTokens: options.maxNewTokens,
    doSample: options.greedy !== true,
    usePastKvCache: options.cache,
    stopAtEos: options.eos,
    ...(options.bos ? {} : { prependBos: false }),
    ...(options.stop === undefined ? {} : { stopStrings: options.stop }),
  };
}

/** `hooklens generate`. The library is loaded when the command runs, as for `explain`. */
export function generateCommand(terminal: Terminal): Command {
  return new Command("generate")
    .description("Go on from a prompt, printing the text as it is written.")
    .argument("<model>", "a model directory, builtin:tiny or builtin:induction")
    .argument("<prompt>", "the text to go on from")
    .option("-n, --max-new-tokens <count>", "how many tokens to write at most", wholeNumber(0), 40)
    .option("-g, --greedy", "always take the most probable token")
    .option("-t, --temperature <number>", "above 1 more varied, below 1 less; 0 is --greedy", number)
    .option("-k, --top-k <count>", "draw among the so many most probable tokens", wholeNumber(1))
    .option("-p, --top-p <share>", "draw among the most probable tokens that make up this share", number)
    .option("--repetition-penalty <number>", "above 1: tokens that occurred become less likely", number)
    .option("--freq-penalty <number>", "above 0: the more often a token occurred, the less likely", number)
    .option("-s, --seed <number>", "the same seed writes the same text", wholeNumber(0))
    .option("--stop <text>", "end once this is written; may be given several times", collect)
    .option("--no-eos", "go on beyond the end-of-sequence token")
    .option("--no-bos", "do not put the beginning-of-sequence token before the prompt")
    .option("--no-cache", "run the whole text again for each token")
    .option("--json", "print prompt, text, tokens and why it ended as data, at the end")
    .option("--no-color", "never use colour")
    .option("--debug", "print the stack of an error")
    .addHelpText("after", example)
    .action(async (directory: string, prompt: string, options: Options) => {
      const model = await loadModel(directory, quietFor(options.json, terminal));
      const stream = model.generateStream(prompt, generateOptions(options));
      const style = createStyle({ color: wantsColor(options.color, terminal), width: 80 });
      // A pipe gets the text as it is.
      const shown = (piece: string) => (terminal.isTTY ? safeText(piece, { lines: true }) : piece);
      const print = options.json ? () => undefined : (piece: string) => terminal.out(shown(piece));
      if (!options.json) terminal.out(style.quiet(shown(prompt)));
      let text = "";
      const tokens: number[] = [];
      let finished: FinishReason | null = options.maxNewTokens === 0 ? "length" : null;
      for await (const step of stream) {
        const piece = step.text[0] ?? "";
        print(piece);
        text += piece;
        tokens.push(...step.tokens.filter((id) => id !== null));
        finished = step.finished[0] ?? null;
      }
      print("\n");
      if (!options.json) return;
      terminal.out(`${jsonText({ model: directory, prompt, text, tokens, finished })}\n`);
    });
}
