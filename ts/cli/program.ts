/** The command line as a function, so that tests and other programs can run it without a process of their own. */

import { Command, CommanderError } from "commander";
import { messageOf } from "../engine/message.ts";
import "../platform/start-node.ts";
import { VERSION } from "../version.ts";
import { safeText } from "../viz/token-label.ts";
import { explainCommand } from "./explain-command.ts";
import { generateCommand } from "./generate-command.ts";
import { hooksCommand, infoCommand } from "./info-command.ts";

/** What the command line needs of the world. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether what goes to `out` is seen by a person. */
  readonly isTTY: boolean;
  /** Columns of the terminal; undefined if not known. */
  readonly columns: number | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What relative paths start from. */
  readonly cwd: string;
  /** Where progress is drawn; undefined where nobody would see it. */
  readonly progress?: NodeJS.WriteStream | undefined;
}

function describeError(error: unknown): { message: string; code: string } {
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, "").replaceAll("\n", " ");
    // commander.unknownOption → unknown_option
    const code = error.code
      .replace(/^commander\./, "")
      .replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return { message, code };
  }
  const message = messageOf(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "internal";
  return { message, code };
}

/** What was probably meant: of two arguments of `explain` the first is mostly a model, as the other commands take it. */
function hintFor([command, first = "", second = ""]: readonly string[], code: string): string {
  if (command !== "explain" || code !== "excess_arguments") return "";
  if (first.startsWith("-") || second.startsWith("-")) return " Put a prompt of several words in quotes.";
  return ` Put a prompt of several words in quotes; a model is named by --model: hooklens explain ${JSON.stringify(second)} --model ${first}`;
}

/**
 * Runs `hooklens` with these arguments (without `node` and the script) and gives the exit code. Errors are printed as
 * `error: message (code)`, without a stack unless `--debug` is among the arguments.
 */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const program = new Command("hooklens")
    .description("See inside a transformer: what it predicts, where it looks, which parts matter.")
    .version(VERSION)
    .option("--debug", "print the stack of an error")
    .addHelpText(
      "after",
      "\nThe exit code is 0, or 1 after an error, which is one line on the error stream with its code.",
    )
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: terminal.out,
      // The catch below prints errors, all in the same form.
      outputError: () => undefined,
      writeErr: terminal.err,
      getOutHelpWidth: () => terminal.columns ?? 80,
      getOutHasColors: () => false,
    })
    .exitOverride();
  program.addCommand(explainCommand(terminal).copyInheritedSettings(program));
  program.addCommand(infoCommand(terminal).copyInheritedSettings(program));
  program.addCommand(hooksCommand(terminal).copyInheritedSettings(program));
  program.addCommand(generateCommand(terminal).copyInheritedSettings(program));

  try {
    await program.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    // Called without a command: commander has printed the help.
    if (error instanceof CommanderError && error.code === "commander.help") return 1;
    const { message, code } = describeError(error);
    const hint = hintFor(args, code);
    terminal.err(`error: ${safeText(message)}${safeText(hint)} (${safeText(code)})\n`);
    if (args.includes("--debug") && error instanceof Error) {
      terminal.err(`${safeText(String(error.stack), { lines: true })}\n`);
    }
    return 1;
  }
}
