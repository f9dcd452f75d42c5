// What goes wrong in pages, in Chromium: each is an error with a code, and everything works afterwards.

import { cpSync, readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { MODELS, serve } from "../loading/server.ts";
import { canServe } from "../support/serving.ts";
import { compile, project, withVite } from "./bundlers.ts";
import { browser, type Outcome, type Site, site, type Visited, visit } from "./site.ts";

/** What a page can do when all is well. */
const WORKS = `
  const { name } = await hooklens.initEngine();
  const model = await hooklens.HookedTransformer.fromPretrained("builtin:tiny");
  const [logits, cache] = model.runWithCache("And God said");
  return [name, logits.shape, cache.size > 10];`;
const WORKED = { value: ["wasm", [1, 4, 1024], true] };

const WORKER_WORKS = `
  const own = await worker.startWorker();
  const model = await own.HookedTransformer.fromPretrained("builtin:tiny");
  const logits = await model.forward("And God said");
  const { engine } = await own.info();
  own.dispose();
  return [engine, logits.shape];`;
const WORKER_WORKED = { value: ["wasm", [1, 4, 1024]] };

const numberIn = (outcome: Outcome) => ("value" in outcome ? Number(outcome.value) : Number.NaN);

const WEIGHTS = "/tiny/model.safetensors";

describe.runIf(canServe)("pages", () => {
  let folder: string;
  let remove: (() => void) | undefined;
  let pages: Site;
  let chromium: Browser;

  beforeAll(async () => {
    compile();
    ({ folder, remove } = await project());
    await withVite(folder, "library");
    cpSync(join(folder, "ending.js"), join(folder, "vite-library/ending.js"));
    pages = await site(folder);
    chromium = await browser();
  }, 300_000);
  afterEach(() => {
    pages.engine = null;
  });
  afterAll(async () => {
    await chromium?.close();
    await pages?.[Symbol.asyncDispose]();
    remove?.();
  });

  describe.each([
    ["without WebAssembly", "--jitless", "no_webassembly", /WebAssembly/],
    ["without 128-bit vectors", "--no-enable-sse4-1", "no_simd", /SIMD|vector/],
  ])("in a browser %s", (_, flag, code, message) => {
    test("the import succeeds, and whatever is used says what is missing", async () => {
      await using poor = { browser: await browser(flag), [Symbol.asyncDispose]: () => poor.browser.close() };
      await using here = await visit(poor.browser, pages);
      const error = { code, message: expect.stringMatching(message) };
      expect(await here.run("hooklens.zeros([1])")).toMatchObject(error);
      expect(await here.run("await hooklens.initEngine()")).toMatchObject(error);
      expect(await here.run('await hooklens.HookedTransformer.fromPretrained("builtin:tiny")')).toMatchObject(
        error,
      );
      expect(await here.run("await worker.startWorker()")).toMatchObject(error);
      expect(await here.run("hooklens.zeros([1])")).toMatchObject(error);
      expect(here.uncaught).toEqual([]);
    });
  });

  describe("an engine that", () => {
    const part = () => readFileSync("wasm/hooklens_bg.wasm").subarray(0, 100_000);
    const wasm = { "content-type": "application/wasm" };
    test.each<readonly [string, (response: ServerResponse) => void, RegExp]>([
      ["is not there", (response) => response.writeHead(404).end(), /answered 404/],
      [
        "is a page instead",
        (response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>"),
        /answered with a page/,
      ],
      ["is cut short", (response) => response.writeHead(200, wasm).end(part()), /do not compile/],
      [
        "breaks off on its way",
        (response) => {
          response.writeHead(200, { ...wasm, "content-length": 5_000_000 });
          response.write(part(), () => response.destroy());
        },
        /broke off/,
      ],
      ["gets no answer", (response) => response.destroy(), /no connection|answer/],
    ])("%s: the page says so and gets it the next time", async (_name, answer, message) => {
      pages.engine = answer;
      await using here = await visit(chromium, pages);
      const error = { code: "download_failed", message: expect.stringMatching(message) };
      expect(await here.run("hooklens.zeros([1])")).toMatchObject(error);
      expect(await here.run("await hooklens.initEngine()")).toMatchObject(error);
      expect(await here.run("await worker.startWorker()")).toMatchObject(error);
      pages.engine = null;
      expect(await here.run(WORKER_WORKS)).toEqual(WORKER_WORKED);
      expect(await here.run(WORKS)).toEqual(WORKED);
      expect(here.uncaught).toEqual([]);
    });
  });

  describe.each([
    ["the page", "const { HookedTransformer } = hooklens;", "hooklens.memory().bytes"],
    [
      "a worker",
      "globalThis.own ??= await worker.startWorker(); const { HookedTransformer } = own;",
      "(await own.info()).bytes",
    ],
  ])("a model for %s that", (_, library, bytes) => {
    let bad: (response: ServerResponse) => boolean;
    const load = (url: string) => `${library}
      const model = await HookedTransformer.fromPretrained("${url}", { cache: false });
      const logits = await model.forward("And God said");
      const { shape } = logits;
      logits.dispose();
      model.dispose();
      return shape;`;

    test.each<readonly [string, (response: ServerResponse) => boolean, string, RegExp]>([
      [
        "breaks off again and again",
        (response) => {
          const whole = readFileSync(`${MODELS}tiny/model.safetensors`);
          response.writeHead(200, { "content-length": whole.length });
          return response.write(whole.subarray(0, 300_000), () => response.destroy()) || true;
        },
        "download_failed",
        /model\.safetensors/,
      ],
      [
        "the server refuses",
        (response) => {
          response.writeHead(403).end();
          return true;
        },
        "download_failed",
        /403/,
      ],
      [
        "is shorter than its header says",
        (response) => {
          response.writeHead(200).end(readFileSync(`${MODELS}tiny/model.safetensors`).subarray(0, 500_000));
          return true;
        },
        "invalid_file",
        /model\.safetensors/,
      ],
      [
        "is cut in its header",
        (response) => {
          response.writeHead(200).end(readFileSync(`${MODELS}tiny/model.safetensors`).subarray(0, 100));
          return true;
        },
        "invalid_file",
        /model\.safetensors/,
      ],
      [
        "is a page instead",
        (response) => {
          response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Hello</title>");
          return true;
        },
        "missing_file",
        /model\.safetensors/,
      ],
    ])("%s is told, keeps no memory, and loads the next time", async (_name, answer, code, message) => {
      bad = answer;
      let isBad = true;
      await using server = await serve({
        root: MODELS,
        instead: ({ path }, response) => isBad && path === WEIGHTS && bad(response),
      });
      await using here = await visit(chromium, pages);
      const before = await here.run(`${library} return ${bytes};`);
      expect(await here.run(load(server.url("tiny")))).toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
      const after = await here.run(`return ${bytes};`);
      expect(numberIn(after) - numberIn(before)).toBeLessThan(100_000);
      isBad = false;
      expect(await here.run(load(server.url("tiny")))).toEqual({ value: [1, 4, 1024] });
      expect(here.uncaught).toEqual([]);
    });
  });

  describe.each(["opfs", "cache-storage"])("a browser with no room in %s", (cache) => {
    /** What the browser lets the site keep. */
    async function quota(here: Visited, bytes?: number): Promise<void> {
      const session = await here.context.newCDPSession(here.page);
      const size = bytes === undefined ? {} : { quotaSize: bytes };
      await session.send("Storage.overrideQuotaForOrigin", { origin: pages.url.replace(/\/$/, ""), ...size });
    }

    test("loads models all the same, says that they are not kept, and keeps them once there is room", async () => {
      const server = await serve({ root: MODELS });
      const load = `
        const model = await hooklens.HookedTransformer.fromPretrained("${server.url("tiny")}", { cache: "${cache}" });
        return [model.forward("And God said").shape, (await hooklens.storedModels()).map(({ files }) => files.length > 0 && files.includes("model.safetensors"))];`;
      await using here = await visit(chromium, pages);
      await quota(here, 400_000);
      expect(await here.run(load)).toEqual({ value: [[1, 4, 1024], [false]] });
      expect(await here.warnings()).toEqual([
        expect.stringMatching(/'model\.safetensors'.*cannot be stored.*quota/i),
      ]);
      await quota(here);
      expect(await here.run(load)).toEqual({ value: [[1, 4, 1024], [true]] });
      await server[Symbol.asyncDispose]();
      expect(await here.run(load)).toEqual({ value: [[1, 4, 1024], [true]] });
      expect(await here.warnings()).toHaveLength(1);
      expect(here.uncaught).toEqual([]);
    });
  });

  describe("a worker that", () => {
    test("ends itself in the middle of a forward fails what waits, and another can be started", async () => {
      await using here = await visit(chromium, pages);
      const outcome = await here.run(`
        const own = await worker.startWorker();
        const model = await own.HookedTransformer.fromPretrained("builtin:tiny");
        const dying = worker.moduleHook(new URL("ending.js", location.href), { export: "ending" });
        const waiting = await Promise.allSettled([
          model.runWithHooks("And God said", { fwdHooks: { "blocks.1.hook_resid_pre": dying } }),
          model.forward("And God said"),
        ]);
        const later = await model.forward("And God said").catch(({ code }) => code);
        return [waiting.map(({ reason }) => reason?.code), later, own.isAlive];`);
      expect(outcome).toEqual({ value: [["worker_died", "worker_died"], "worker_died", false] });
      expect(await here.run(WORKER_WORKS)).toEqual(WORKER_WORKED);
      expect(here.uncaught).toEqual([]);
    });

    test("lets an error go uncaught goes on", async () => {
      await using here = await visit(chromium, pages);
      const outcome = await here.run(`
        const own = await worker.startWorker();
        const model = await own.HookedTransformer.fromPretrained("builtin:tiny");
        const throwing = worker.moduleHook(new URL("ending.js", location.href), { export: "throwing" });
        const run = () => model.runWithHooks("And God said", { fwdHooks: { "blocks.1.hook_resid_pre": throwing } });
        const shapes = [(await run()).shape, (await run()).shape];
        await new Promise((done) => setTimeout(done, 50));
        return [shapes, (await model.forward("And God said")).shape, own.isAlive];`);
      expect(outcome).toEqual({
        value: [
          [
            [1, 4, 1024],
            [1, 4, 1024],
          ],
          [1, 4, 1024],
          true,
        ],
      });
    });
  });
});
