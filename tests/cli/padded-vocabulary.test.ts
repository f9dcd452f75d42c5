// A model whose vocabulary was filled up to a round size.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../../ts/cli/program.ts";
import { put, TINY, withCopy } from "../models/folders.ts";

test("ids that the tokenizer has no token for are written by their number", async () => {
  await withCopy(async (folder) => {
    // The bytes stay, and none of what is made of them.
    const json = JSON.parse(await readFile(join(TINY, "tokenizer.json"), "utf8"));
    const vocab = Object.entries<number>(json.model.vocab).filter(([, id]) => id < 257);
    put(folder, "tokenizer.json", {
      ...json,
      model: { ...json.model, vocab: Object.fromEntries(vocab), merges: [] },
    });
    const call = async (...args: string[]) => {
      let out = "";
      const world = { isTTY: false, columns: 80, env: {}, cwd: folder };
      const write = (text: string) => {
        out += text;
      };
      expect([await run(args, { out: write, err: write, ...world }), out]).toEqual([0, out]);
      return out;
    };
    const written = JSON.parse(await call("generate", folder, "And", "--seed", "1", "--json"));
    expect(written.tokens.some((id: number) => id >= 257)).toBe(true);
    const report = JSON.parse(await call("explain", "And", "--model", folder, "--json"));
    expect(report.next.map(({ text }: { text: string }) => text).join("")).toMatch(/<\d+>/);
  });
});
