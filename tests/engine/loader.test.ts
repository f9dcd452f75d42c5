import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { engineInfo } from "../../ts/engine/current.ts";
import { HooklensError } from "../../ts/engine/errors.ts";
import { loadNative } from "../../ts/engine/native.ts";

const folder = mkdtempSync(join(tmpdir(), "hooklens-loader-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function refusal(env: Record<string, string>): HooklensError {
  try {
    loadNative(env);
  } catch (error) {
    if (error instanceof HooklensError) return error;
    throw error;
  }
  throw new Error("loaded");
}

describe("HOOKLENS_NATIVE", () => {
  test("names the file to load", () => {
    const path = join(folder, "elsewhere.node");
    copyFileSync(engineInfo().source, path);
    expect(loadNative({ HOOKLENS_NATIVE: path })).toMatchObject({ source: path, rejected: [] });
  });

  test("that is not there, is no addon, or is another version, is refused with the reason", () => {
    const missing = join(folder, "missing.node");
    expect(refusal({ HOOKLENS_NATIVE: missing })).toMatchObject({ code: "engine_unavailable" });
    expect(refusal({ HOOKLENS_NATIVE: missing }).message).toContain(missing);

    const text = join(folder, "text.node");
    writeFileSync(text, "not an addon");
    expect(refusal({ HOOKLENS_NATIVE: text }).message).toMatch(
      /text\.node: .*(invalid ELF header|too short)/,
    );

    const old = join(folder, "old.cjs");
    writeFileSync(old, `exports.engineVersion = () => "0.0.1";`);
    expect(refusal({ HOOKLENS_NATIVE: old }).message).toContain("is version 0.0.1, needed is");
  });
});

describe("HOOKLENS_DEVICE", () => {
  test("cpu does not look for CUDA", () => {
    expect(loadNative({ HOOKLENS_DEVICE: "cpu" }).rejected.join()).not.toContain("cuda");
  });

  test("by default CUDA is tried first, and the loader says why it was not taken", () => {
    const { source, rejected } = loadNative({});
    if (!source.includes("cuda")) expect(rejected[0]).toMatch(/@hooklens\/linux-x64-cuda: .+/);
  });

  test("of another name is refused", () => {
    expect(refusal({ HOOKLENS_DEVICE: "tpu" })).toMatchObject({ code: "invalid_argument" });
  });
});

test("when nothing can be loaded, the error says what was tried and what to do", () => {
  const error = refusal({ HOOKLENS_NATIVE: join(folder, "nowhere.node") });
  expect(error.details["tried"]).toHaveLength(1);
  expect(error.message).toMatch(/no native engine of hooklens .* could be loaded for .*npm run build/s);
});
