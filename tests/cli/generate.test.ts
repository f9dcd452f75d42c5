import { describe, expect, test } from "vitest";
import { run } from "../../ts/cli/program.ts";
import { HookedTransformer } from "../../ts/models/hooked-transformer.ts";

interface Outcome {
  readonly code: number;
  /** What was printed, in the pieces in which it came. */
  readonly pieces: readonly string[];
  readonly out: string;
  readonly err: string;
}

async function generate(
  args: readonly string[],
  world: { isTTY?: boolean; env?: Record<string, string> } = {},
) {
  const pieces: string[] = [];
  let err = "";
  const code = await run(["generate", ...args], {
    out: (text) => void pieces.push(text),
    err: (text) => {
      err += text;
    },
    isTTY: world.isTTY ?? false,
    columns: 80,
    env: world.env ?? {},
    cwd: import.meta.dirname,
  });
  return { code, pieces, out: pieces.join(""), err } satisfies Outcome;
}

const PROMPT = "In the beginning";
const model = await HookedTransformer.fromPretrained("builtin:tiny");
const greedy = { doSample: false, maxNewTokens: 10 } as const;

test("an empty stop text is refused", async () => {
  const { code, err } = await generate(["builtin:tiny", "hi", "--stop", ""]);
  expect(code).toBe(1);
  expect(err).toMatch(/--stop.*Expected a text that is not empty/);
});

describe("hooklens generate", () => {
  test("prints the prompt and the text piece by piece, without escape codes into a pipe", async () => {
    const { code, pieces, out, err } = await generate(["builtin:tiny", PROMPT, "--greedy", "-n", "10"]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toBe(`${await model.generate(PROMPT, greedy)}\n`);
    expect(pieces.length).toBe(12);
  });

  test("tells the prompt from the text by colour on a terminal, unless NO_COLOR says otherwise", async () => {
    const args = ["builtin:tiny", PROMPT, "--greedy"];
    expect((await generate(args, { isTTY: true, env: { TERM: "xterm" } })).pieces[0]).toContain("\u001b[2m");
    for (const options of [{ isTTY: true, env: { NO_COLOR: "1" } }, { isTTY: false }]) {
      expect((await generate(args, options)).out).not.toContain("\u001b");
    }
    expect((await generate([...args, "--no-color"], { isTTY: true })).out).not.toContain("\u001b");
    const steering = await generate(["builtin:tiny", "a\u001b[2Jb\nc", "--no-color"], { isTTY: true });
    expect(steering.out).toMatch(/^a\\u\{1b\}\[2Jb\nc/);
  });

  test("gives the same as data", async () => {
    const { out } = await generate(["builtin:tiny", PROMPT, "-g", "-n", "10", "--json"]);
    const { prompt, text, tokens, finished } = JSON.parse(out);
    expect(prompt + text).toBe(await model.generate(PROMPT, greedy));
    expect([tokens.length, finished]).toEqual([10, "length"]);
    const stopped = await generate([
      "builtin:tiny",
      PROMPT,
      "-g",
      "--stop",
      "@@",
      "--stop",
      text.slice(2, 5),
      "--json",
    ]);
    expect(JSON.parse(stopped.out).finished).toBe("stop");
  });

  test("passes its options on", async () => {
    const sampled = [
      "-n",
      "12",
      "-t",
      "1.3",
      "-k",
      "50",
      "-p",
      "0.95",
      "-s",
      "7",
      "--repetition-penalty",
      "1.2",
    ];
    const more = ["--freq-penalty", "0.1", "--no-eos", "--no-bos", "--no-cache"];
    const { out } = await generate(["builtin:tiny", PROMPT, ...sampled, ...more]);
    const expected = await model.generate(PROMPT, {
      maxNewTokens: 12,
      temperature: 1.3,
      topK: 50,
      seed: 7,
      repetitionPenalty: 1.2,
      freqPenalty: 0.1,
      stopAtEos: false,
      prependBos: false,
    });
    expect(out).toBe(`${expected}\n`);
  });

  test("explains itself, and what is wrong", async () => {
    const help = await generate(["--help"]);
    for (const text of ["--temperature", "--json", "$ hooklens generate builtin:tiny"])
      expect(help.out).toContain(text);
    const bad: [string[], RegExp][] = [
      [["builtin:tiny"], /missing required argument 'prompt'/],
      [["builtin:none", PROMPT], /missing_file/],
      [["builtin:tiny", PROMPT, "-k", "0"], /whole number/],
      [["builtin:tiny", PROMPT, "-t", "hot"], /Expected a number/],
      [["builtin:tiny", PROMPT, "-t", "-1"], /temperature/],
      [["builtin:tiny", PROMPT, "-n", "1000"], /context_length/],
    ];
    for (const [args, message] of bad) {
      const { code, out, err } = await generate(args);
      expect([code, out]).toEqual([1, ""]);
      expect(err).toMatch(message);
    }
  });
});
