import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { EngineStarter } from "../../ts/engine/current.ts";
import { compiled } from "../../ts/engine/wasm-download.ts";
import { webAssembly } from "../../ts/engine/web-assembly.ts";
import { initEngine } from "../../ts/index.ts";
import { loadEngine } from "../../ts/platform/start-node.ts";
import { engine } from "./native-module.ts";

/** A module of its own: nothing started, nothing failed. */
async function fresh(starter: EngineStarter | null) {
  vi.resetModules();
  const current = await import("../../ts/engine/current.ts");
  if (starter !== null) current.installStarter(starter);
  return current;
}

const running = { engine, source: "here", rejected: [] };

describe("initEngine", () => {
  test("says which engine runs", async () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    expect(await initEngine()).toMatchObject({ name: engine.name, version });
  });

  test("refuses options that do not exist", async () => {
    await expect(initEngine({ wsam: "x" } as object)).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(initEngine(null as never)).rejects.toMatchObject({ code: "invalid_argument" });
  });

  test("starts one engine, however many ask for it", async () => {
    const start = vi.fn(async () => running);
    const current = await fresh({ now: null, start });
    await Promise.all([current.initEngine(), current.initEngine()]);
    await current.initEngine();
    expect(start).toHaveBeenCalledTimes(1);
    expect(current.engine()).toBe(engine);
  });

  test("until it is called, using the library says so", async () => {
    const current = await fresh({ now: null, start: async () => running });
    expect(() => current.engine()).toThrow(
      expect.objectContaining({ code: "engine_unavailable", message: expect.stringMatching(/initEngine/) }),
    );
    const waiting = current.initEngine();
    expect(() => current.engine()).toThrow(/still starting/);
    await waiting;
    expect(current.engine()).toBe(engine);
  });

  test("that failed is told at each use, and may be tried again", async () => {
    const start = vi.fn<EngineStarter["start"]>(async () => running);
    const current = await fresh({ now: null, start });
    const { HooklensError } = await import("../../ts/engine/errors.ts");
    const reason = new HooklensError("download_failed", "no connection");
    start.mockRejectedValueOnce(reason);
    await expect(current.initEngine()).rejects.toBe(reason);
    expect(() => current.engine()).toThrow(
      expect.objectContaining({
        code: "download_failed",
        message: expect.stringMatching(/no connection.*again/),
      }),
    );
    await current.initEngine();
    expect(current.engine()).toBe(engine);
  });
});

test("HOOKLENS_ENGINE of another name is refused", () => {
  expect(() => loadEngine({ HOOKLENS_ENGINE: "gpu" })).toThrow(
    expect.objectContaining({ code: "invalid_argument", message: expect.stringMatching(/native or wasm/) }),
  );
});

describe("a browser", () => {
  afterEach(() => vi.unstubAllGlobals());

  test("with WebAssembly and its vectors is recognised", () => {
    expect(webAssembly().compile).toBeTypeOf("function");
  });

  test("without WebAssembly is told so, before anything is fetched", async () => {
    const fetched = vi.fn();
    vi.stubGlobal("fetch", fetched);
    vi.stubGlobal("WebAssembly", undefined);
    await expect(compiled("http://localhost/x.wasm")).rejects.toMatchObject({ code: "no_webassembly" });
    expect(fetched).not.toHaveBeenCalled();
  });

  test("without 128-bit vectors is told so", async () => {
    vi.stubGlobal("WebAssembly", { ...webAssembly(), validate: () => false });
    await expect(compiled(new Uint8Array())).rejects.toMatchObject({ code: "no_simd" });
  });

  test("that forbids compiling is told what its policy lacks", async () => {
    const forbidden = async () => {
      throw new Error(
        "WebAssembly.compile(): Refused … violates the following Content Security Policy directive",
      );
    };
    vi.stubGlobal("WebAssembly", { validate: () => true, compile: forbidden });
    await expect(compiled(new Uint8Array(8))).rejects.toMatchObject({
      code: "engine_unavailable",
      message: expect.stringMatching(/wasm-unsafe-eval/),
    });
  });
});

describe("the engine's download", () => {
  /** The smallest module. */
  const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  let server: Server;
  let base = "";

  beforeAll(async () => {
    server = createServer((request, response) => {
      const type = { "content-type": "application/wasm" };
      switch (request.url) {
        case "/good":
          return response.writeHead(200, type).end(EMPTY);
        case "/untyped":
          return response.writeHead(200).end(EMPTY);
        case "/page":
          return response
            .writeHead(200, { "content-type": "text/html" })
            .end("<!doctype html><title>Home</title>");
        case "/short":
          return response.writeHead(200, type).end(EMPTY.subarray(0, 6));
        case "/empty":
          return response.writeHead(200, type).end();
        case "/broken":
          response.writeHead(200, { ...type, "content-length": "1000" }).write(EMPTY);
          return setTimeout(() => response.destroy(), 20);
        default:
          return response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  test.each(["/good", "/untyped"])("%s compiles, from every kind of source", async (path) => {
    const url = `${base}${path}`;
    const sources = [url, new URL(url), fetch(url), await fetch(url), EMPTY, EMPTY.buffer];
    for (const source of sources) expect(String(await compiled(source))).toBe("[object WebAssembly.Module]");
    expect(await compiled(await compiled(EMPTY))).toBeDefined();
  });

  test.each([
    ["/absent", /404/],
    ["/page", /answered with a page/],
    ["/short", /6 bytes do not compile/],
    ["/empty", /is empty/],
    ["/broken", /broke off|do not compile/],
  ])("%s is refused with what came instead", async (path, why) => {
    const failed = compiled(`${base}${path}`);
    await expect(failed).rejects.toMatchObject({
      code: "download_failed",
      message: expect.stringMatching(why),
      details: { url: `${base}${path}` },
    });
    await expect(failed).rejects.toThrow(/initEngine\(\{ wasm \}\)/);
  });

  test("without a server is refused", async () => {
    await expect(compiled("http://127.0.0.1:1/x.wasm")).rejects.toMatchObject({ code: "download_failed" });
  });

  test("from what is no source is refused", async () => {
    await expect(compiled(7 as never)).rejects.toMatchObject({ code: "invalid_argument" });
  });
});
