/** The second visit: files that were kept are used, without a connection too, as long as the server has the same. */

import { cpSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  deleteStoredModel,
  HookedTransformer,
  type LoadOptions,
  type StoreKind,
  setLogger,
  storedModels,
} from "../../ts/index.ts";
import { cacheStorage, opfs } from "./page-storage.ts";
import { expectSame } from "./same-model.ts";
import { type Behaviour, GOLDEN, MODELS, type Seen, serve } from "./server.ts";

const isBody = ({ method }: Seen) => method === "GET";
const size = (path: string) => readFileSync(join(GOLDEN, path)).length;

const offline: LoadOptions["fetch"] = () => Promise.reject(new TypeError("fetch failed"));

const warnings: string[] = [];
let before: ReturnType<typeof setLogger>;

beforeEach(() => {
  before = setLogger({ warn: (message) => warnings.push(message) });
});

afterEach(() => {
  setLogger(before);
  warnings.length = 0;
  vi.unstubAllGlobals();
});

describe.each<StoreKind>(["opfs", "cache-storage"])("in %s", (cache) => {
  function page(quota = { bytes: Number.POSITIVE_INFINITY }) {
    const made = cache === "opfs" ? opfs(quota) : cacheStorage(quota);
    const { used, ...globals } = { root: null, entries: null, ...made };
    for (const [name, value] of Object.entries(globals)) {
      if (value !== null) vi.stubGlobal(name, value);
    }
    return { used };
  }

  describe.each<[string, Behaviour]>([
    ["ranges", {}],
    ["no ranges and no lengths", { ranges: false, lengths: false }],
  ])("from a server of %s", (_, behaviour) => {
    test.each(["gpt2", "gpt2_sharded", "gpt_neox", "tl_attn_only"])(
      "%s is fetched once, and works without a connection",
      async (name) => {
        page();
        await using server = await serve(behaviour);
        const folder = join(GOLDEN, name);
        expect(await expectSame(folder, server.url(name), { cache })).toBe(true);
        const fetched = server.seen.filter(isBody).length;
        expect(await expectSame(folder, server.url(name), { cache })).toBe(true);
        expect(server.seen.filter(isBody)).toHaveLength(fetched);
        expect(await expectSame(folder, server.url(name), { cache, fetch: offline })).toBe(true);
        // Parts of what is kept whole.
        const some: LoadOptions = { cache, fetch: offline, firstNLayers: 1, dtype: "float64" };
        expect(await expectSame(folder, server.url(name), some)).toBe(true);
        expect(warnings).toEqual([]);
      },
    );
  });

  test("with its tokenizer", async () => {
    page();
    await using server = await serve({ root: MODELS });
    const first = await HookedTransformer.fromPretrained(server.url("tiny"), { cache });
    const second = await HookedTransformer.fromPretrained(server.url("tiny"), { cache, fetch: offline });
    expect(second.toTokens("Once upon").toTypedArray()).toEqual(first.toTokens("Once upon").toTypedArray());
  });

  test("what is kept is listed and deleted", async () => {
    const { used } = page();
    await using server = await serve();
    expect(await storedModels()).toEqual([]);
    await HookedTransformer.fromPretrained(server.url("gpt2"), { cache });
    await HookedTransformer.fromPretrained(server.url("gpt2_sharded"), { cache });
    const models = await storedModels();
    expect(models.map(({ source }) => source).sort()).toEqual([
      server.url("gpt2/"),
      server.url("gpt2_sharded/"),
    ]);
    const gpt2 = models.find(({ source }) => source === server.url("gpt2/"));
    const files = ["config.json", "generation_config.json", "model.safetensors"];
    expect(gpt2).toMatchObject({ store: cache, files });
    expect(gpt2?.bytes).toBe(files.reduce((sum, file) => sum + size(`gpt2/${file}`), 0));
    expect(Date.now() - Number(gpt2?.storedAt)).toBeLessThan(60_000);
    expect(used()).toBeGreaterThan(size("gpt2/model.safetensors"));
    expect(await deleteStoredModel(server.url("gpt2"))).toBe(true);
    expect(await deleteStoredModel(server.url("gpt2"))).toBe(false);
    expect((await storedModels()).map(({ source }) => source)).toEqual([server.url("gpt2_sharded/")]);
    expect(await deleteStoredModel(new URL(server.url("gpt2_sharded/")))).toBe(true);
    expect(used()).toBe(0);
    const gone = HookedTransformer.fromPretrained(server.url("gpt2"), { cache, fetch: offline });
    await expect(gone).rejects.toMatchObject({ code: "download_failed" });
  });

  test("another version on the server is fetched, and replaces the one before", async () => {
    page();
    const root = mkdtempSync(join(tmpdir(), "hooklens-versions-"));
    try {
      cpSync(join(GOLDEN, "gpt2"), join(root, "model"), { recursive: true });
      await using server = await serve({ root });
      const url = server.url("model");
      await HookedTransformer.fromPretrained(url, { cache });
      const path = join(root, "model/model.safetensors");
      const bytes = readFileSync(path);
      // Other weights of the same length.
      bytes.writeFloatLE(0.75, bytes.length - 4);
      writeFileSync(path, bytes);
      utimesSync(path, 1, 1);
      expect(await expectSame(join(root, "model"), url, { cache })).toBe(true);
      expect(await expectSame(join(root, "model"), url, { cache, fetch: offline })).toBe(true);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test("a download that broke off leaves nothing that is taken for a file", async () => {
    page();
    await using server = await serve({
      instead: ({ path }, response) => {
        if (!path.endsWith(".safetensors")) return false;
        response.writeHead(200, { "content-length": String(size("gpt2/model.safetensors")) });
        response.write(readFileSync(join(GOLDEN, path)).subarray(0, 90_000), () => response.destroy());
        return true;
      },
    });
    const broken = HookedTransformer.fromPretrained(server.url("gpt2"), { cache });
    await expect(broken).rejects.toMatchObject({ code: "download_failed" });
    const files = (await storedModels()).flatMap((model) => model.files);
    expect(files).not.toContain("model.safetensors");
  });

  test("a file that is no good is not kept", async () => {
    page();
    const root = mkdtempSync(join(tmpdir(), "hooklens-bad-"));
    try {
      cpSync(join(GOLDEN, "gpt2"), join(root, "gpt2"), { recursive: true });
      const path = join(root, "gpt2/model.safetensors");
      writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(3)]));
      writeFileSync(join(root, "gpt2/generation_config.json"), "{");
      await using server = await serve({ root, ranges: false, lengths: false });
      const first = HookedTransformer.fromPretrained(server.url("gpt2"), { cache });
      await expect(first).rejects.toMatchObject({ code: "invalid_file" });
      writeFileSync(join(root, "gpt2/generation_config.json"), "{}");
      const second = HookedTransformer.fromPretrained(server.url("gpt2"), { cache });
      await expect(second).rejects.toMatchObject({ code: "invalid_file" });
      const files = (await storedModels()).flatMap((model) => model.files);
      expect(files).not.toContain("model.safetensors");
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test.each([10_000, 100_000])(
    "over a quota of %i bytes the model loads, and it is said why it is not kept",
    async (bytes) => {
      for (const lengths of [true, false]) {
        page({ bytes });
        warnings.length = 0;
        await using server = await serve({ lengths, ranges: lengths });
        expect(await expectSame(join(GOLDEN, "gpt2"), server.url("gpt2"), { cache })).toBe(true);
        expect(warnings).toHaveLength(1);
        expect(warnings[0]).toMatch(
          /model\.safetensors.*cannot be stored.*(there is no room|QuotaExceededError)/,
        );
        expect(warnings[0]).toContain(`this site may keep ${bytes} bytes`);
        const files = (await storedModels()).flatMap((model) => model.files);
        expect(files).not.toContain("model.safetensors");
        vi.unstubAllGlobals();
      }
    },
  );

  test("parts of a model are not kept, the small files are", async () => {
    page();
    await using server = await serve();
    const options: LoadOptions = { cache, firstNLayers: 1 };
    expect(await expectSame(join(GOLDEN, "gpt2"), server.url("gpt2"), options)).toBe(true);
    const files = (await storedModels()).flatMap((model) => model.files);
    expect(files).toEqual(["config.json", "generation_config.json"]);
  });
});

test("a store that fails altogether does not keep a model from loading", async () => {
  vi.stubGlobal("caches", {
    open: async () => {
      throw new DOMException("no storage in this mode", "SecurityError");
    },
  });
  await using server = await serve();
  expect(await expectSame(join(GOLDEN, "gpt2"), server.url("gpt2"), { cache: "cache-storage" })).toBe(true);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain("SecurityError");
});
