import { Command } from "commander";
import { messageOf } from "../engine/message.ts";
import { wantsColor } from "./explain-command.ts";
import { jsonText } from "./json-text.ts";
import { loadModel, quietFor } from "./load-model.ts";
import type { ModelSummary } from "./model-summary.ts";
import type { Terminal } from "./program.ts";
import { withProgress } from "./progress.ts";
import { renderInfo, renderPoints } from "./render/model.ts";
import { createStyle } from "./render/style.ts";

interface Options {
  readonly json?: true;
  readonly width?: number;
  readonly color: boolean;
}

const infoExample = `
Example:
  $ hooklens info builtin:tiny
  $ hooklens info ./gpt2 --json | jq .parameters.count

Hook points are shown once for all blocks; \`hooklens hooks\` lists each. Sizes are written behind the names of axes;
batch, pos, query and key have the size of the input.`;

const hooksExample = `
Example:
  $ hooklens hooks builtin:tiny
  $ hooklens hooks builtin:tiny 'blocks.*.attn.hook_pattern'
  $ hooklens hooks builtin:tiny '/\\.0\\..*resid/'
  $ hooklens hooks builtin:tiny --json | jq -r '.[].name'

A filter is a name, a glob, or a regular expression between slashes. One that selects nothing is an error.
Points marked with + are computed and recorded only when named.`;

function styleOf(options: Options, terminal: Terminal) {
  return createStyle({
    color: wantsColor(options.color, terminal),
    width: Math.min(terminal.columns ?? 100, 120),
  });
}

/** `/expression/flags` as an expression, anything else as a name or a glob. */
async function filterOf(text: string): Promise<string | RegExp> {
  const [, source, flags] = /^\/(.+)\/([a-z]*)$/s.exec(text) ?? [];
  if (source === undefined) return text;
  try {
    return new RegExp(source, flags);
  } catch (error) {
    const { hooklensError } = await import("../engine/errors.ts");
    const why = messageOf(error);
    throw hooklensError("invalid_names_filter", `'${text}' is no regular expression: ${why}`, {
      pattern: text,
    });
  }
}

/** `hooklens info`. */
export function infoCommand(terminal: Terminal): Command {
  return new Command("info")
    .description("Show what a model is made of: configuration, parameters, memory, hook points.")
    .argument("<model>", "a model directory from Hugging Face, or a built-in model such as builtin:tiny")
    .option("--json", "print the same as data, with every parameter and every hook point")
    .option("--no-color", "never use colour")
    .option("--debug", "print the stack of an error")
    .addHelpText("after", infoExample)
    .action(async (name: string, options: Options) => {
      const { memory } = await import("../tensor/index.ts");
      const { parametersOf, pointsOf } = await import("./model-summary.ts");
      const before = memory().bytes;
      const quiet = quietFor(options.json, terminal);
      const model = await loadModel(name, quiet);
      const held = memory().bytes - before;
      const summary: ModelSummary = {
        version: 1,
        model: name,
        config: model.cfg,
        memory: held,
        parameters: parametersOf(model),
        hookPoints: await withProgress("looking at hook points", quiet, (update) =>
          pointsOf(model, undefined, update),
        ),
      };
      model.dispose();
      terminal.out(options.json ? `${jsonText(summary)}\n` : renderInfo(summary, styleOf(options, terminal)));
    });
}

/** `hooklens hooks`. */
export function hooksCommand(terminal: Terminal): Command {
  return new Command("hooks")
    .description("List a model's hook points with their axes and shapes.")
    .argument("<model>", "a model directory from Hugging Face, or a built-in model such as builtin:tiny")
    .argument("[filter]", "a name, a glob, or a regular expression between slashes")
    .option("--json", "print the same as data")
    .option("--no-color", "never use colour")
    .option("--debug", "print the stack of an error")
    .addHelpText("after", hooksExample)
    .action(async (name: string, filter: string | undefined, options: Options) => {
      const { pointsOf } = await import("./model-summary.ts");
      const wanted = filter === undefined ? undefined : await filterOf(filter);
      const quiet = quietFor(options.json, terminal);
      const model = await loadModel(name, quiet);
      const points = await withProgress("looking at hook points", quiet, (update) =>
        pointsOf(model, wanted, update),
      );
      model.dispose();
      terminal.out(options.json ? `${jsonText(points)}\n` : renderPoints(points, styleOf(options, terminal)));
    });
}
