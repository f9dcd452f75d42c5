import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { explain } from "../../ts/analysis/explain.ts";
import type { ExplainReport } from "../../ts/analysis/explain-report.ts";
import { run } from "../../ts/cli/program.ts";
import { HookedTransformer } from "../../ts/models/hooked-transformer.ts";

/** Where the command line believes to be. */
const folder = mkdtempSync(join(tmpdir(), "hooklens-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function hooklens(
  args: readonly string[],
  world: { isTTY?: boolean; env?: Record<string, string>; cwd?: string } = {},
): Promise<Outcome> {
  let [out, err] = ["", ""];
  const code = await run(args, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    isTTY: world.isTTY ?? false,
    columns: 100,
    env: world.env ?? {},
    cwd: world.cwd ?? folder,
  });
  return { code, out, err };
}

const prompt = "And God said, Let there be";
const escapeCode = "\u001b";

test("a model in the prompt's place: the error says where it goes", async () => {
  const { code, err } = await hooklens(["explain", "builtin:tiny", "hi"]);
  expect(code).toBe(1);
  expect(err).toContain('hooklens explain "hi" --model builtin:tiny (excess_arguments)');
});

test("a model as the prompt: a note says where it goes, and the text is explained", async () => {
  const { code, err, out } = await hooklens(["explain", "builtin:tiny", "--no-html"]);
  expect(code).toBe(0);
  expect(err).toContain("a model is named by --model builtin:tiny");
  expect(out).toContain("Logit lens");
});

describe("help", () => {
  test("names the command, and the command explains itself with an example", async () => {
    const { code, out } = await hooklens(["--help"]);
    expect(code).toBe(0);
    expect(out).toMatch(/explain.*<prompt>/);
    const explained = await hooklens(["explain", "--help"]);
    expect(explained.code).toBe(0);
    for (const text of [
      "--model",
      "--json",
      "--top",
      "--answer",
      "--head",
      "Example:",
      "$ hooklens explain",
      "NO_COLOR",
    ]) {
      expect(explained.out).toContain(text);
    }
  });

  test("the version is the package's", async () => {
    const { out } = await hooklens(["--version"]);
    expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("explain as data", () => {
  test("agrees with the library called directly", async () => {
    const { code, out } = await hooklens(["explain", prompt, "--json", "--top", "3"]);
    expect(code).toBe(0);
    const model = await HookedTransformer.fromPretrained("builtin:tiny");
    expect(JSON.parse(out)).toEqual(
      JSON.parse(JSON.stringify(explain(model, prompt, { top: 3, modelName: "builtin:tiny" }))),
    );
  });

  test("is consistent in itself", async () => {
    const { out } = await hooklens(["explain", prompt, "--json"]);
    const report: ExplainReport = JSON.parse(out);
    const { nLayers, nHeads } = report.model;
    const length = report.tokens.length;
    expect(
      report.tokens
        .slice(1)
        .map((token) => token.text)
        .join(""),
    ).toBe(prompt);
    expect(report.next).toHaveLength(5);
    expect(report.next[0]?.id).toBe(report.answer.id);
    const shares = report.next.map((candidate) => candidate.probability);
    expect(shares).toEqual([...shares].sort((a, b) => b - a));
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeLessThanOrEqual(1 + 1e-6);

    expect(report.logitLens).toHaveLength(nLayers + 1);
    expect(report.logitLens.at(-1)?.answer.probability).toBeCloseTo(report.answer.probability, 5);
    expect(report.logitLens.at(-1)?.answer.rank).toBe(report.answer.rank);
    expect(report.logitLens.every((row) => row.best.length === length)).toBe(true);

    expect(report.headAblation.effects).toHaveLength(nLayers);
    expect(report.headAblation.effects.every((row) => row.length === nHeads)).toBe(true);
    const largest = Math.max(...report.headAblation.effects.flat().map(Math.abs));
    expect(Math.abs(report.attention.effect)).toBe(largest);
    expect(largest).toBeGreaterThan(0.01);

    expect(report.attention.pattern).toHaveLength(length);
    for (const [query, row] of report.attention.pattern.entries()) {
      expect(row.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 4);
      expect(row.slice(query + 1).every((share) => share === 0)).toBe(true);
    }
    expect(report.attribution.values).toHaveLength(length);
    expect(report.attribution.values.some((value) => Math.abs(value) > 1e-3)).toBe(true);
  });

  test("explains the answer and draws the head that were asked for", async () => {
    const { out } = await hooklens(["explain", prompt, "--json", "--answer", " God", "--head", "2.1"]);
    const report: ExplainReport = JSON.parse(out);
    expect(report.answer).toMatchObject({ text: " God", chosenBy: "user" });
    expect(report.attention).toMatchObject({ layer: 2, head: 1, chosenBy: "user" });
    expect(report.attention.effect).toBe(report.headAblation.effects[2]?.[1]);
  });
});

describe("explain as text", () => {
  test("without a terminal there are no escape codes", async () => {
    const { code, out, err } = await hooklens(["explain", prompt]);
    expect(code).toBe(0);
    expect(err).toBe("");
    expect(out).not.toContain(escapeCode);
    for (const title of [
      "Next token",
      "Logit lens",
      "Effect of ablating",
      "Attention of layer",
      "Gradient × activation",
    ]) {
      expect(out).toContain(title);
    }
  });

  test.each([
    ["on a terminal", { isTTY: true }, true],
    ["on a terminal with NO_COLOR", { isTTY: true, env: { NO_COLOR: "1" } }, false],
    ["on a dumb terminal", { isTTY: true, env: { TERM: "dumb" } }, false],
    ["elsewhere with FORCE_COLOR", { env: { FORCE_COLOR: "1" } }, true],
  ])("%s", async (_, world, colored) => {
    const { out } = await hooklens(["explain", prompt], world);
    expect(out.includes(escapeCode)).toBe(colored);
  });

  test("--no-color wins over a terminal", async () => {
    const { out } = await hooklens(["explain", prompt, "--no-color"], { isTTY: true });
    expect(out).not.toContain(escapeCode);
  });
});

describe("explain as a page", () => {
  const inFolder = () => mkdtempSync(join(folder, "page-"));

  test("is written into the working directory, and the text says where", async () => {
    const cwd = inFolder();
    const { code, out } = await hooklens(["explain", prompt], { cwd });
    expect(code).toBe(0);
    const file = join(cwd, "hooklens-report.html");
    expect(out).toContain(`Report  ${file}\n`);
    const page = readFileSync(file, "utf8");
    expect(page).toMatch(/^<!DOCTYPE html>/);
    expect(page).toContain("Residual norms");
    expect(Buffer.byteLength(page)).toBeLessThan(300_000);
  });

  test("goes where --html says", async () => {
    const cwd = inFolder();
    const { out } = await hooklens(["explain", prompt, "--html", "mine.html"], { cwd });
    expect(readdirSync(cwd)).toEqual(["mine.html"]);
    expect(out).toContain(join(cwd, "mine.html"));
  });

  test("is not written with --no-html, nor beside --json unless asked for", async () => {
    const cwd = inFolder();
    const { out } = await hooklens(["explain", prompt, "--no-html"], { cwd });
    expect(out).not.toContain("Report");
    await hooklens(["explain", prompt, "--json"], { cwd });
    expect(readdirSync(cwd)).toEqual([]);
    const both = await hooklens(["explain", prompt, "--json", "--html", "both.html"], { cwd });
    expect(JSON.parse(both.out)).toHaveProperty("patterns");
    expect(readdirSync(cwd)).toEqual(["both.html"]);
  });

  test("an unnamed report goes elsewhere if the working directory is no place for it", async () => {
    const { code, out } = await hooklens(["explain", prompt], { cwd: join(folder, "not-there") });
    expect(code).toBe(0);
    const [, file = ""] = /Report {2}(.*)\n/.exec(out) ?? [];
    expect(readFileSync(file, "utf8")).toContain("<!DOCTYPE html>");
    rmSync(dirname(file), { recursive: true });
  });

  test("a named one that cannot be written is an error", async () => {
    const { code, err } = await hooklens(["explain", prompt, "--html", "no/such/folder/r.html"]);
    expect(code).toBe(1);
    expect(err).toMatch(/^error: the report cannot be written to 'no\/such\/folder\/r.html'.*\n$/);
  });
});

describe("bad input is one line with a code, and exit code 1", () => {
  const empty = mkdtempSync(join(tmpdir(), "hooklens-cli-"));

  test.each([
    ["no prompt", ["explain"], /missing required argument 'prompt' \(missing_argument\)/],
    ["an empty prompt", ["explain", ""], /the prompt is empty.* \(invalid_argument\)/],
    ["a prompt over the context", ["explain", "the ".repeat(400)], /n_ctx = 128 \(context_length\)/],
    [
      "a model that is not there",
      ["explain", "x", "--model", "/no/such/model"],
      /no\/such\/model.* \(missing_file\)/,
    ],
    ["a folder without a model", ["explain", "x", "--model", empty], /\(missing_file\)/],
    ["a built-in model that does not exist", ["explain", "x", "--model", "builtin:huge"], /builtin:tiny/],
    [
      "an unknown flag",
      ["explain", "x", "--modle", "y"],
      /unknown option '--modle'.*--model.* \(unknown_option\)/,
    ],
    ["an unknown command", ["explian", "x"], /unknown command 'explian'.*explain.* \(unknown_command\)/],
    ["too many arguments", ["explain", "x", "y"], /too many arguments.* \(excess_arguments\)/],
    ["a count that is none", ["explain", "x", "--top", "many"], /whole number.* \(invalid_argument\)/],
    ["a head that is no head", ["explain", "x", "--head", "two"], /2\.1.* \(invalid_argument\)/],
    [
      "a head that the model lacks",
      ["explain", "x", "--head", "9.0"],
      /layers 0 to 3.* \(index_out_of_range\)/,
    ],
    ["an answer of several tokens", ["explain", "x", "--answer", " two words"], /\(not_single_token\)/],
  ])("%s", async (_, args, expected) => {
    const { code, out, err } = await hooklens(args);
    expect(code).toBe(1);
    expect(out).toBe("");
    expect(err).toMatch(expected);
    expect(err).toMatch(/^error: .*\n$/);
    expect(err).not.toMatch(/^\s+at /m);
  });

  test("--debug adds the stack", async () => {
    const { err } = await hooklens(["explain", "", "--debug"]);
    expect(err).toMatch(/^\s+at /m);
    rmSync(empty, { recursive: true });
  });
});
