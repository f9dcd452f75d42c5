/** Models from a server: what is read from a folder, whatever the server can do, and clear errors where it cannot. */

import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { HookedTransformer, type LoadProgress, memory, setMemoryLimit } from "../../ts/index.ts";
import { failure } from "./failure.ts";
import { expectSame, FOLDERS } from "./same-model.ts";
import { type Behaviour, GOLDEN, MODELS, type Seen, serve } from "./server.ts";

const weights = ({ path }: Seen) => path.endsWith("model.safetensors");

describe.each<[string, Behaviour]>([
  ["answers ranges", {}],
  ["answers no ranges", { ranges: false }],
  ["answers no ranges and tells no lengths", { ranges: false, lengths: false }],
  ["tells nothing", { ranges: false, lengths: false, etags: false }],
])("from a server that %s", (_, behaviour) => {
  test("every fixture is what it is in its folder", async () => {
    await using server = await serve(behaviour);
    let loaded = 0;
    for (const name of FOLDERS) {
      if (await expectSame(join(GOLDEN, name), server.url(name))) loaded++;
    }
    expect(loaded).toBeGreaterThan(12);
  });

  test("some blocks, processed, in half precision", async () => {
    await using server = await serve(behaviour);
    for (const name of ["gpt2", "gpt2_sharded", "gpt_neox", "llama", "tl_attn_only"]) {
      const folder = join(GOLDEN, name);
      await expectSame(folder, new URL(server.url(`${name}/`)), { firstNLayers: 1, nCtx: 8 });
      await expectSame(folder, server.url(name), { process: true, dtype: "float64" });
      await expectSame(folder, server.url(name), { dtype: "float16" });
    }
  });

  test("a built-in model with its tokenizer", async () => {
    await using server = await serve({ ...behaviour, root: MODELS });
    const model = await HookedTransformer.fromPretrained(server.url("tiny"));
    const own = await HookedTransformer.fromPretrained("builtin:tiny");
    const prompt = "Once upon a time";
    expect(model.toTokens(prompt).toTypedArray()).toEqual(own.toTokens(prompt).toTypedArray());
    const written = { maxNewTokens: 8, doSample: false };
    expect(model.generate(prompt, written)).toEqual(own.generate(prompt, written));
  });
});

describe("what is asked for", () => {
  test("only the blocks that are wanted, where there are ranges", async () => {
    await using server = await serve();
    const size = statSync(join(GOLDEN, "gpt2/model.safetensors")).size;
    await HookedTransformer.fromPretrained(server.url("gpt2"), { firstNLayers: 1 });
    const ranges = server.seen.filter(weights).map(({ range }) => range);
    expect(ranges.every((range) => range?.startsWith("bytes="))).toBe(true);
    expect(size).toBeGreaterThan(0);
  });

  test("a large gap is not fetched", async () => {
    await using large = await withLarge();
    await using server = await serve({ root: large.root });
    await HookedTransformer.fromPretrained(server.url("model"), { firstNLayers: 1 });
    expect(server.sent.bytes).toBeLessThan(large.size / 2);
    const whole = await HookedTransformer.fromPretrained(server.url("model"));
    expect(whole.cfg.n_layers).toBe(6);
  });

  test("parameters of the address go with every file", async () => {
    const queries: string[] = [];
    await using server = await serve();
    const fetch = (url: string, init: RequestInit) => {
      queries.push(new URL(url).search);
      return globalThis.fetch(url, init);
    };
    await HookedTransformer.fromPretrained(`${server.url("gpt2")}?key=a%2Fb#part`, { fetch });
    expect(new Set(queries)).toEqual(new Set(["?key=a%2Fb"]));
  });
});

/** A checkpoint whose blocks are larger than what is skipped rather than asked for anew. */
async function withLarge() {
  const root = mkdtempSync(join(tmpdir(), "hooklens-large-"));
  const config = { n_layers: 6, d_model: 256, n_ctx: 16, d_head: 64, d_vocab: 50, act_fn: "gelu", seed: 0 };
  using model = HookedTransformer.fromConfig(config);
  cpSync(join(GOLDEN, "tl_attn_only"), join(root, "model"), { recursive: true });
  writeFileSync(join(root, "model/tl_config.json"), JSON.stringify(model.cfg));
  const path = join(root, "model/model.safetensors");
  await model.save(path);
  return {
    root,
    size: statSync(path).size,
    [Symbol.asyncDispose]: async () => rmSync(root, { recursive: true }),
  };
}

describe("what goes wrong", () => {
  test("nothing at the address", async () => {
    await using server = await serve();
    const error = await failure(HookedTransformer.fromPretrained(server.url("nowhere")));
    expect(error.code).toBe("missing_file");
    expect(error.message).toContain(server.url("nowhere/config.json"));
  });

  test("a page instead of files, as many servers answer for what they lack", async () => {
    await using server = await serve({
      instead: (_, response) => {
        response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<!doctype html>");
        return true;
      },
    });
    const error = await failure(HookedTransformer.fromPretrained(server.url("gpt2")));
    expect(error.code).toBe("missing_file");
  });

  test("a page instead of tl_config.json alone", async () => {
    await using server = await serve({
      instead: ({ path }, response) => {
        if (!path.endsWith("tl_config.json")) return false;
        response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>");
        return true;
      },
    });
    expect(await expectSame(join(GOLDEN, "gpt2"), server.url("gpt2"))).toBe(true);
  });

  test("no connection", async () => {
    const server = await serve();
    const url = server.url("gpt2");
    await server[Symbol.asyncDispose]();
    const error = await failure(HookedTransformer.fromPretrained(url));
    expect(error.code).toBe("download_failed");
    expect(error.details).toMatchObject({ attempts: 4 });
    expect(error.message).toContain(url);
  });

  test("no permission", async () => {
    await using server = await serve({
      instead: (_, response) => {
        response.writeHead(403).end();
        return true;
      },
    });
    const error = await failure(HookedTransformer.fromPretrained(server.url("gpt2")));
    expect(error.code).toBe("download_failed");
    expect(error.details).toMatchObject({ status: 403 });
  });

  test("a server that is busy for a while", async () => {
    await using server = await serve({
      instead: ({ path }, response, nth) => {
        if (!path.endsWith("config.json") || nth > 1) return false;
        response.writeHead(503).end();
        return true;
      },
    });
    expect(await expectSame(join(GOLDEN, "gpt2"), server.url("gpt2"))).toBe(true);
  });

  test("a server that stays busy", async () => {
    await using server = await serve({
      instead: ({ path }, response) => {
        if (!path.endsWith(".safetensors")) return false;
        response.writeHead(503, { "retry-after": "3600" }).end();
        return true;
      },
    });
    const error = await failure(HookedTransformer.fromPretrained(server.url("gpt2")));
    expect([error.code, error.details["status"]]).toEqual(["download_failed", 503]);
    expect(server.seen.filter(weights)).toHaveLength(1);
  });

  /** Sends half of a file, and then nothing more. */
  const half = (path: string, response: ServerResponse, range: string | null, ranges: boolean) => {
    const all = readFileSync(join(GOLDEN, path));
    const [, from = "0", to = ""] = ranges ? (/^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? []) : [];
    const part = all.subarray(Number(from), to === "" ? undefined : Number(to) + 1);
    const headers: Record<string, string> = { etag: '"one"', "content-length": String(part.length) };
    if (ranges) headers["content-range"] = `bytes ${from}-${Number(from) + part.length - 1}/${all.length}`;
    response.writeHead(ranges ? 206 : 200, headers);
    response.write(part.subarray(0, Math.ceil(part.length / 2)), () => response.destroy());
    return true;
  };

  test.each([true, false])("a connection that breaks again and again (ranges: %s)", async (ranges) => {
    await using server = await serve({
      ranges,
      instead: ({ path, range }, response, nth) => {
        if (!path.endsWith(".safetensors")) return false;
        if (nth < 3) return half(path, response, range, ranges);
        // The rest has the version of the beginning.
        response.setHeader("etag", '"one"');
        return false;
      },
      etags: false,
    });
    expect(await expectSame(join(GOLDEN, "llama"), server.url("llama"))).toBe(true);
    expect(server.seen.filter(weights).length).toBeGreaterThan(3);
  });

  test("a connection that breaks for good", async () => {
    await using server = await serve({
      instead: ({ path }, response) => {
        if (!path.endsWith(".safetensors")) return false;
        const all = readFileSync(join(GOLDEN, path));
        response.writeHead(200, { "content-length": String(all.length), etag: '"one"' });
        response.write(all.subarray(0, 50_000), () => response.destroy());
        return true;
      },
    });
    const error = await failure(HookedTransformer.fromPretrained(server.url("gpt2")));
    expect(error.code).toBe("download_failed");
    expect(error.message).toMatch(/broke off after \d+ of \d+ bytes/);
    expect(error.message).toContain(server.url("gpt2/model.safetensors"));
  });

  test("a file that is another one after the connection broke", async () => {
    await using server = await serve({
      ranges: false,
      instead: ({ path, range }, response, nth) =>
        path.endsWith(".safetensors") && nth === 0 && half(path, response, range, false),
    });
    const error = await failure(HookedTransformer.fromPretrained(server.url("llama")));
    expect(error.code).toBe("invalid_file");
    expect(error.message).toContain("changed while it was being read");
  });

  test.each([true, false])("files that are too short or too long (told: %s)", async (lengths) => {
    const root = mkdtempSync(join(tmpdir(), "hooklens-lengths-"));
    try {
      cpSync(join(GOLDEN, "gpt2"), join(root, "gpt2"), { recursive: true });
      const path = join(root, "gpt2/model.safetensors");
      const { size } = statSync(path);
      await using server = await serve({ root, ranges: false, lengths });
      truncateSync(path, size - 3);
      const short = await failure(HookedTransformer.fromPretrained(server.url("gpt2")));
      expect(short.code).toBe("invalid_file");
      expect(short.message).toContain(server.url("gpt2/model.safetensors"));
      if (!lengths)
        expect(short.message).toContain(`ends after ${size - 3} bytes; its header describes ${size}`);
      truncateSync(path, size + 5);
      const long = await failure(HookedTransformer.fromPretrained(server.url("gpt2")));
      expect(long.code).toBe("invalid_file");
      expect(long.message).toMatch(/has \d+ bytes of data, of which its tensors describe \d+/);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test("an index that leads elsewhere", async () => {
    await using server = await serve({
      instead: ({ path }, response) => {
        if (path.endsWith("/model.safetensors")) response.writeHead(404).end();
        else if (path.endsWith("index.json")) response.end('{"weight_map":{"x":"../../secret.safetensors"}}');
        else return false;
        return true;
      },
    });
    const error = await failure(HookedTransformer.fromPretrained(server.url("gpt2")));
    expect([error.code, error.message]).toEqual([
      "invalid_file",
      expect.stringContaining("not a plain path"),
    ]);
    expect(server.seen.some(({ path }) => path.includes("secret"))).toBe(false);
  });

  test("weights over the memory limit are refused with the numbers, before they are sent", async () => {
    await using large = await withLarge();
    await using server = await serve({ root: large.root });
    setMemoryLimit(memory().bytes + 4_000_000);
    try {
      const error = await failure(HookedTransformer.fromPretrained(server.url("model")));
      expect(error.code).toBe("memory_limit");
      expect(error.message).toMatch(/^weights of [\d.]+ MiB do not fit: \d+ bytes/);
    } finally {
      setMemoryLimit(0);
    }
    expect(server.sent.bytes).toBeLessThan(large.size / 4);
  });

  test("addresses and options that are none", async () => {
    for (const [location, code] of [
      ["ftp://example.org/gpt2", "missing_file"],
      [new URL("ftp://example.org/gpt2"), "invalid_argument"],
      [42, "invalid_argument"],
      [null, "invalid_argument"],
      [[1, 2], "invalid_argument"],
      [{}, "invalid_argument"],
    ] as const) {
      expect((await failure(HookedTransformer.fromPretrained(location as string))).code).toBe(code);
    }
    await using server = await serve();
    for (const options of [
      { cache: "disk" },
      { cache: "opfs" },
      { fetch: 3 },
      { cache: true },
      { chache: false },
    ]) {
      const loading = HookedTransformer.fromPretrained(server.url("gpt2"), options as object);
      expect((await failure(loading)).code).toBe("invalid_argument");
    }
    expect(server.seen).toEqual([]);
  });
});

describe("progress and the end of it", () => {
  test("progress of a part grows to the end of that part", async () => {
    await using server = await serve();
    for (const name of ["gpt2", "gpt2_sharded", "tl_attn_only"]) {
      const [brought, read]: LoadProgress[][] = [[], []];
      for (const [place, seen] of [
        [server.url(name), brought],
        [join(GOLDEN, name), read],
      ] as const) {
        const onProgress = (progress: LoadProgress) => seen?.push(progress);
        await HookedTransformer.fromPretrained(place, { tokenizer: null, nCtx: 3, onProgress });
      }
      const last = brought?.at(-1);
      expect(last).toEqual({ done: last?.total, total: last?.total, phase: "model" });
      expect(read?.at(-1)).toEqual(last);
      for (const [i, { done, total }] of (brought ?? []).entries()) {
        expect(total).toBe(last?.total);
        expect(done).toBeLessThanOrEqual(total);
        expect(done).toBeGreaterThanOrEqual(brought?.[i - 1]?.done ?? 0);
      }
    }
  });

  test("progress grows to the end", async () => {
    await using large = await withLarge();
    await using server = await serve({ root: large.root });
    const seen: LoadProgress[] = [];
    const model = await HookedTransformer.fromPretrained(server.url("model"), {
      dtype: "float16",
      onProgress: (progress) => seen.push(progress),
    });
    const bytes = [...model.stateDict().values()].reduce((sum, { size }) => sum + 2 * size, 0);
    expect(seen.at(-1)).toEqual({ done: bytes, total: bytes, phase: "model" });
    expect(seen.map(({ done }) => done)).toEqual(seen.map(({ done }) => done).sort((a, b) => a - b));
    expect(seen[0]?.phase).toBe("weights");
  });

  test("what onProgress throws ends the loading", async () => {
    await using server = await serve();
    const reason = new Error("enough");
    const loading = HookedTransformer.fromPretrained(server.url("gpt2"), {
      onProgress: () => {
        throw reason;
      },
    });
    await expect(loading).rejects.toBe(reason);
  });

  test.each([true, false])(
    "a slow download is aborted, and nothing of it stays (ranges: %s)",
    async (ranges) => {
      let connections = 0;
      await using server = await serve({
        ranges,
        instead: ({ path }, response) => {
          if (!path.endsWith(".safetensors")) return false;
          const all = readFileSync(join(GOLDEN, path));
          response.writeHead(200, { "content-length": String(all.length) });
          response.write(all.subarray(0, 60_000));
          connections++;
          response.on("close", () => connections--);
          return true;
        },
      });
      const controller = new AbortController();
      const reason = new Error("not any more");
      const before = memory().bytes;
      const loading = HookedTransformer.fromPretrained(server.url("gpt2"), { signal: controller.signal });
      setTimeout(() => controller.abort(reason), 150);
      await expect(loading).rejects.toBe(reason);
      await sleep(100);
      expect(connections).toBe(0);
      expect(memory().bytes - before).toBeLessThan(200_000);
    },
  );

  test("a signal that was aborted before asks for nothing", async () => {
    await using server = await serve();
    const signal = AbortSignal.abort("no");
    await expect(HookedTransformer.fromPretrained(server.url("gpt2"), { signal })).rejects.toBe("no");
    expect(server.seen).toEqual([]);
  });
});
