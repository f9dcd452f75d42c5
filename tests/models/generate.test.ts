// Writing on from text and ids.

import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  type GenerationStep,
  HookedTransformer,
  isGradEnabled,
  noGrad,
  type Tensor,
  tensor,
} from "../../ts/index.ts";
import { CONFIG } from "./small.ts";

const tiny = await HookedTransformer.fromPretrained("builtin:tiny");
const small = HookedTransformer.fromConfig({ ...CONFIG, n_ctx: 40, initializer_range: 0.5 });
const PROMPT = "In the beginning God created";
const GREEDY = { doSample: false, maxNewTokens: 12 } as const;

/** Makes a model write these ids, whatever it would have chosen. */
function forcing(ids: readonly number[]) {
  let step = 0;
  return (logits: Tensor) => {
    const forced = new Float32Array(logits.size);
    const width = logits.shape.at(-1) ?? 1;
    const id = ids[Math.min(step++, ids.length - 1)] ?? 0;
    for (let at = id; at < forced.length; at += width) forced[at] = 9;
    return tensor(forced, { shape: logits.shape });
  };
}

function numbers(ids: Tensor): number[] {
  return Array.from(ids.toTypedArray(), Number);
}

async function collect(steps: AsyncIterable<GenerationStep>): Promise<GenerationStep[]> {
  const all: GenerationStep[] = [];
  for await (const step of steps) all.push(step);
  return all;
}

/** What the highest logits of whole forwards say. */
function byHand(model: HookedTransformer, prompt: readonly number[], count: number): number[] {
  const ids = [...prompt];
  for (let i = 0; i < count; i++)
    ids.push(
      noGrad(() => model.forward(ids))
        .get(0, -1)
        .argmax()
        .item(),
    );
  return ids;
}

describe("generate", () => {
  test("writes the most probable tokens, with and without a cache, in the form that is asked for", async () => {
    const ids = numbers(tiny.toTokens(PROMPT));
    const expected = byHand(tiny, ids, 12);
    for (const usePastKvCache of [true, false]) {
      const tokens = await tiny.generate(PROMPT, { ...GREEDY, usePastKvCache, returnType: "tokens" });
      expect(numbers(tokens)).toEqual(expected);
      expect([tokens.shape, tokens.dtype, tokens.axes]).toEqual([
        [1, expected.length],
        "int64",
        ["batch", "pos"],
      ]);
    }
    const text = await tiny.generate(PROMPT, GREEDY);
    expect(text).toBe(tiny.toString(expected.slice(1)));
    expect(text.startsWith(PROMPT)).toBe(true);
    expect(await tiny.generate(ids, { ...GREEDY, returnType: "str" })).toBe(text);
    expect(await tiny.generate([ids], { ...GREEDY, returnType: "str" })).toEqual([text]);
    expect(numbers(await tiny.generate(tensor([ids], { dtype: "int64" }), GREEDY))).toEqual(expected);
    expect(await tiny.generate([PROMPT], GREEDY)).toEqual([text]);
    expect(await tiny.generate(PROMPT, { maxNewTokens: 0 })).toBe(PROMPT);
  });

  test("writes rows of different lengths as if each were alone", async () => {
    const prompts = [PROMPT, "And", "The LORD is my shepherd; I shall not"];
    const alone = await Promise.all(prompts.map((prompt) => tiny.generate(prompt, GREEDY)));
    expect(await tiny.generate(prompts, GREEDY)).toEqual(alone);
    expect(await tiny.generate(prompts, { ...GREEDY, usePastKvCache: false })).toEqual(alone);
    const ids = tiny.toTokens([PROMPT, "And"], { paddingSide: "left" });
    const filled = await tiny.generate(ids, { ...GREEDY, paddingSide: "left", returnType: "str" });
    expect(filled).toEqual(alone.slice(0, 2));
    const mask = [
      [1, 1, 1],
      [0, 1, 1],
    ];
    const rows = [
      [3, 4, 5],
      [0, 6, 7],
    ];
    const options = { ...GREEDY, stopAtEos: false } as const;
    const padded = await small.generate(rows, { ...options, attentionMask: mask });
    expect(numbers(padded).slice(16)).toEqual(byHand(small, [6, 7], 12));
  });

  test("draws the same tokens for the same seed", async () => {
    const draw = (seed: number) => tiny.generate(PROMPT, { maxNewTokens: 20, temperature: 1.2, seed });
    expect(await draw(1)).toBe(await draw(1));
    expect(await draw(1)).not.toBe(await draw(2));
    const greedy = await tiny.generate(PROMPT, GREEDY);
    for (const sampling of [{ temperature: 0 }, { topK: 1 }, { topP: 1e-6 }, { topK: 1, topP: 1 }]) {
      expect(await tiny.generate(PROMPT, { maxNewTokens: 12, ...sampling })).toBe(greedy);
    }
    const distinct = async (options: object) => {
      const long = { doSample: false, maxNewTokens: 60, stopAtEos: false, ...options };
      return new Set(numbers(await tiny.generate(PROMPT, { ...long, returnType: "tokens" }))).size;
    };
    expect(await distinct({ repetitionPenalty: 1.5 })).toBeGreaterThan(1.5 * (await distinct({})));
  });

  test("ends at the end-of-sequence token and fills up", async () => {
    const eos = tiny.tokenizer?.eosId ?? -1;
    const [a = 0, b = 0] = ["and", "the"].map((word) => tiny.toSingleToken(` ${word}`));
    const run = (options: object) =>
      tiny.withHooks({ fwdHooks: { "unembed.hook_out": forcing([a, eos, b]) } }, () =>
        collect(tiny.generateStream(PROMPT, { maxNewTokens: 3, doSample: false, ...options })),
      );
    expect((await run({})).map(({ tokens, finished }) => [tokens, finished])).toEqual([
      [[a], [null]],
      [[eos], ["eos"]],
    ]);
    expect((await run({ stopAtEos: false })).map(({ tokens }) => tokens[0])).toEqual([a, eos, b]);
    expect((await run({ eosTokenId: [b, a] })).map(({ finished }) => finished)).toEqual([["eos"]]);
    expect((await run({ stopAtEos: false })).at(-1)?.finished).toEqual(["length"]);
    // The second row goes on when the first has ended.
    const rows = await small.generate([[3], [4]], {
      maxNewTokens: 6,
      doSample: false,
      eosTokenId: byHand(small, [3], 1)[1] ?? 0,
    });
    const [first, second] = [numbers(rows).slice(0, rows.shape[1]), numbers(rows).slice(rows.shape[1])];
    expect(new Set(first.slice(1)).size).toBe(1);
    expect(second).toEqual(byHand(small, [4], second.length - 1));
  });

  test("gives the logits that tokens were chosen from", async () => {
    const options = { ...GREEDY, outputLogits: true, returnType: "tokens" } as const;
    const { sequences, logits } = await tiny.generate(PROMPT, options);
    expect(logits.length).toBe(12);
    const whole = noGrad(() => tiny.forward(sequences));
    for (const [i, own] of logits.entries()) {
      expect(own.shape).toEqual([1, tiny.cfg.d_vocab_out]);
      const expected = whole.get(0, numbers(sequences).length - 13 + i);
      expect(own.get(0).sub(expected).abs().max().item()).toBeLessThan(1e-4);
    }
  });

  test("refuses what makes no sense, naming the option", async () => {
    const bad: [object, RegExp | string][] = [
      [{ maxNewToken: 3 }, /maxNewTokens/],
      [{ maxNewTokens: -1 }, /maxNewTokens/],
      [{ maxNewTokens: 1.5 }, /maxNewTokens/],
      [{ topK: 0 }, /topK/],
      [{ topK: 1.5 }, /topK/],
      [{ topP: 0 }, /topP/],
      [{ topP: 1.1 }, /topP/],
      [{ temperature: -1 }, /temperature/],
      [{ temperature: Number.NaN }, /temperature/],
      [{ temperature: "hot" }, /temperature/],
      [{ repetitionPenalty: 0 }, /repetitionPenalty/],
      [{ freqPenalty: -1 }, /freqPenalty/],
      [{ seed: 0.5 }, /seed/],
      [{ stopStrings: [""] }, /stopStrings/],
      [{ eosTokenId: [] }, /eosTokenId/],
      [{ eosTokenId: -1 }, /eosTokenId/],
      [{ returnType: "text" }, /returnType/],
      [{ paddingSide: "right" }, /left/],
      [{ doSample: 1 }, /doSample/],
      [{ signal: 1 }, /signal/],
      [{ attentionMask: [[1]] }, /attentionMask/],
    ];
    for (const [options, message] of bad) {
      await expect(tiny.generate(PROMPT, options), JSON.stringify(options)).rejects.toMatchObject({
        code: "invalid_argument",
        message: expect.stringMatching(message),
      });
    }
    const coded = (promise: Promise<unknown>, code: string) =>
      expect(promise).rejects.toMatchObject({ code });
    await coded(tiny.generate(PROMPT, { maxNewTokens: 500 }), "context_length");
    await coded(tiny.generate(PROMPT, { eosTokenId: 5000 }), "token_out_of_range");
    await coded(tiny.generate([5000]), "token_out_of_range");
    await coded(small.generate(PROMPT), "tokenizer_required");
    await coded(small.generate([1], { stopAtEos: false, returnType: "str" }), "tokenizer_required");
    await coded(small.generate([1], { stopAtEos: false, stopStrings: "x" }), "tokenizer_required");
    await coded(small.generate([1]), "invalid_argument");
    expect((await small.generate([1], { stopAtEos: false })).shape).toEqual([1, 11]);
    expect(() => tiny.generateStream(PROMPT, { topK: -2 })).toThrow(/topK/);
    const bidirectional = HookedTransformer.fromConfig({ ...CONFIG, attention_dir: "bidirectional" });
    expect((await bidirectional.generate([1, 2], { stopAtEos: false })).shape).toEqual([1, 12]);
    await coded(bidirectional.generate([1], { stopAtEos: false, usePastKvCache: true }), "invalid_argument");
  });
});

describe("generateStream", () => {
  test("gives the text of generate in pieces", async () => {
    const options = { maxNewTokens: 25, seed: 4 };
    const prompts = [PROMPT, "And he said"];
    const steps = await collect(tiny.generateStream(prompts, options));
    expect(steps.map(({ step }) => step)).toEqual(steps.map((_, i) => i + 1));
    const texts = prompts.map((prompt, row) => prompt + steps.map(({ text }) => text[row]).join(""));
    expect(texts).toEqual(await tiny.generate(prompts, options));
  });

  test("never gives half a character", async () => {
    const text = "naïve – 日本語 🙂🙃, end";
    const ids = tiny.tokenizer?.encode(text, false) ?? [];
    expect(ids.length).toBeGreaterThan([...text].length);
    const hooks = () => ({ fwdHooks: { "unembed.hook_out": forcing(ids) } });
    const options = { doSample: false, maxNewTokens: ids.length } as const;
    const steps = await tiny.withHooks(hooks(), () => collect(tiny.generateStream("Say", options)));
    const pieces = steps.map((step) => step.text[0] ?? "");
    expect(pieces.join("")).toBe(text);
    expect(pieces.some((piece) => /\uFFFD/.test(piece))).toBe(false);
    expect(pieces).toContain("🙂");
    // Cut off in the middle of a character: what is there comes at the end, marked as incomplete.
    const cut = { ...options, maxNewTokens: ids.indexOf(ids.at(-4) ?? 0) - 3 };
    const short = await tiny.withHooks(hooks(), () => collect(tiny.generateStream("Say", cut)));
    const whole = await tiny.withHooks(hooks(), () => tiny.generate("Say", cut));
    expect(`Say${short.map((step) => step.text[0]).join("")}`).toBe(whole);
  });

  test("ends rows at stop strings, across tokens too", async () => {
    const free = await collect(tiny.generateStream(PROMPT, GREEDY));
    const pieces = free.map((step) => step.text[0] ?? "");
    const at = pieces.findIndex((piece, i) => i > 1 && piece.length > 2 && (pieces[i - 1] ?? "").length > 2);
    const stop = (pieces[at - 1] ?? "").slice(-2) + (pieces[at] ?? "").slice(0, 2);
    const before = pieces.slice(0, at).join("");
    expect(before.includes(stop)).toBe(false);
    const steps = await collect(tiny.generateStream(PROMPT, { ...GREEDY, stopStrings: ["@@", stop] }));
    expect(steps.length).toBe(at + 1);
    expect(steps.at(-1)?.finished).toEqual(["stop"]);
    const text = await tiny.generate([PROMPT, "And"], { ...GREEDY, stopStrings: stop });
    expect(text[0]).toBe(PROMPT + pieces.slice(0, at + 1).join(""));
    expect((text[1] ?? "").length).toBeGreaterThan(10);
  });

  test("may be left", async () => {
    for await (const step of tiny.generateStream(PROMPT, GREEDY)) if (step.step === 2) break;
    expect((await collect(tiny.generateStream(PROMPT, GREEDY))).length).toBe(12);
  });
});

describe("while it writes", () => {
  test("hooks run in every step, and nothing is recorded", async () => {
    const seen: string[] = [];
    const fwdHooks = {
      hook_embed: (x: Tensor) => void seen.push(`embed ${x.shape[1]}`),
      "blocks.1.attn.hook_pattern": (x: Tensor) => void seen.push(`pattern ${x.shape.slice(2).join()}`),
    };
    const plain = await small.generate([1, 2, 3], { ...GREEDY, stopAtEos: false });
    {
      using _scope = small.hooks({ fwdHooks });
      await small.generate([1, 2, 3], { doSample: false, maxNewTokens: 3, stopAtEos: false });
    }
    expect(seen).toEqual(["embed 3", "pattern 3,3", "embed 1", "pattern 1,4", "embed 1", "pattern 1,5"]);
    const steer = small.hooks({
      fwdHooks: {
        "blocks.0.hook_resid_post": (x: Tensor) => {
          expect([isGradEnabled(), x.requiresGrad]).toEqual([false, false]);
          return x.neg();
        },
      },
    });
    const steered = await small.generate([1, 2, 3], { ...GREEDY, stopAtEos: false });
    const expected = byHand(small, [1, 2, 3], 12);
    steer.dispose();
    expect(numbers(steered)).toEqual(expected);
    expect(numbers(steered)).not.toEqual(numbers(plain));
    expect(isGradEnabled()).toBe(true);
  });

  test("other work gets its turn", async () => {
    let turns = 0;
    let going = true;
    const others = (async () => {
      while (going) {
        await turn();
        turns++;
      }
    })();
    const timer = new Promise((fire) => setTimeout(fire, 1, "fired"));
    const run = tiny.generate(PROMPT, { ...GREEDY, maxNewTokens: 60 });
    expect(await Promise.race([timer, run])).toBe("fired");
    await run;
    going = false;
    await others;
    expect(turns).toBeGreaterThan(60);
  });

  test("it can be aborted, before and at any time, and everything works afterwards", async () => {
    const expected = await tiny.generate(PROMPT, GREEDY);
    await expect(tiny.generate(PROMPT, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: "AbortError",
    });
    const control = new AbortController();
    const reason = new Error("enough");
    let steps = 0;
    const run = tiny.withHooks(
      { fwdHooks: { hook_embed: () => void (++steps === 4 && control.abort(reason)) } },
      () => tiny.generate(PROMPT, { ...GREEDY, signal: control.signal }),
    );
    await expect(run).rejects.toBe(reason);
    expect(steps).toBe(4);
    const thrown = { by: "hook" };
    const throwing = tiny.withHooks(
      {
        fwdHooks: {
          "blocks.2.attn.hook_z": () => {
            if (++steps > 6) throw thrown;
          },
        },
      },
      () => tiny.generate(PROMPT, GREEDY),
    );
    await expect(throwing).rejects.toBe(thrown);
    expect(tiny.listHooks().size).toBe(0);
    expect(await tiny.generate(PROMPT, GREEDY)).toBe(expected);
  });

  test("two generations do not disturb one another", async () => {
    const [a, b] = await Promise.all([tiny.generate(PROMPT, GREEDY), tiny.generate("And", GREEDY)]);
    expect([a, b]).toEqual([await tiny.generate(PROMPT, GREEDY), await tiny.generate("And", GREEDY)]);
  });
});
