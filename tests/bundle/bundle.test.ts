import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bundle, compile, hasWasm, nodeImports, project, withEsbuild, withVite } from "./bundlers.ts";

/** Compressed bytes of the scripts of a page that runs a model and hooks it. */
const SCRIPT_BUDGET = 60 * 1024;
/** Compressed bytes of the engine: what it has come down to, on the way to 700 KiB. */
const ENGINE_BUDGET = 765 * 1024;

let folder: string;
let remove: (() => void) | undefined;
beforeAll(async () => {
  compile();
  ({ folder, remove } = await project());
}, 300_000);
afterAll(() => remove?.());

describe.each([
  ["esbuild", withEsbuild],
  ["Vite", withVite],
])("%s", (_, bundle) => {
  const bundles = new Map<string, Promise<Bundle>>();
  const of = (page: string): Promise<Bundle> => {
    const made = bundles.get(page) ?? bundle(folder, page);
    bundles.set(page, made);
    return made;
  };
  /** Folders of this package, and packages, of which the page has something. */
  const parts = async (page: string) =>
    new Set((await of(page)).modules.map((path) => path.split("/").slice(0, 2).join("/")));

  test.each(["model", "modules", "tensors", "worker"])(
    "the page '%s' imports nothing of Node",
    async (page) => {
      const { code } = await of(page);
      expect(nodeImports(code)).toEqual([]);
      expect(code).not.toMatch(/\bprocess\.(env|platform|versions)\b/);
      expect(code).not.toMatch(/\bBuffer\b/);
    },
  );

  test(`a page that runs a model and hooks it has at most ${SCRIPT_BUDGET} bytes of scripts`, async () => {
    const { gzipped, modules } = await of("model");
    console.log(`${gzipped} bytes of scripts, compressed${hasWasm ? "" : ", without the engine's glue"}`);
    expect(modules).toContain("dist/models/hooked-transformer.js");
    expect(gzipped).toBeGreaterThan(10_000);
    expect(gzipped).toBeLessThanOrEqual(SCRIPT_BUDGET);
  });

  test("what a page does not use is left out of it", async () => {
    const model = await parts("model");
    for (const part of ["viz", "analysis", "train", "notebooks", "cli"])
      expect(model).not.toContain(`dist/${part}`);
    const modules = await parts("modules");
    expect(modules).toContain("dist/hooks");
    for (const part of ["viz", "analysis", "train", "text"]) expect(modules).not.toContain(`dist/${part}`);
    expect([...modules].filter((part) => part.startsWith("node_modules"))).toEqual([]);
    const tensors = await parts("tensors");
    expect(tensors).toContain("dist/tensor");
    for (const part of ["hooks", "models", "cache", "text", "viz", "train"]) {
      expect(tensors).not.toContain(`dist/${part}`);
    }
  });

  test("a page that leaves everything to a worker has nothing of the library but the line to it", async () => {
    const worker = await parts("worker");
    expect(worker).toContain("dist/worker");
    expect(worker).toContain("node_modules/birpc");
    for (const part of ["tensor", "hooks", "models", "text", "cache"])
      expect(worker).not.toContain(`dist/${part}`);
  });

  test.runIf(hasWasm)("the engine comes with the page, within its budget", async () => {
    const { modules, assets, code } = await of("model");
    expect(modules).toContain("wasm/hooklens.js");
    const engines = [...assets].filter(([name]) => name.endsWith(".wasm"));
    if (bundle === withVite) expect(engines).toHaveLength(1);
    // esbuild copies no assets that modules refer to by address: its users hand the file to initEngine.
    else expect(code).toContain("hooklens_bg.wasm");
    for (const [, bytes] of engines) {
      const size = gzipSync(bytes, { level: 9 }).length;
      console.log(`${size} bytes of engine, compressed`);
      expect(size).toBeLessThanOrEqual(ENGINE_BUDGET);
    }
  });
});

test("what only Node has is found where it is", () => {
  const code =
    'import{a}from"node:fs";import "path";const b=await import("os");require("crypto");import("./x.js")';
  expect(nodeImports(code)).toEqual(["node:fs", "path", "os", "crypto"]);
});
