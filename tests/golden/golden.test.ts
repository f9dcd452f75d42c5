import { describe, expect, it } from "vitest";
import { GOLDEN } from "../support/golden.ts";
import { compareFixture, describeOutcome } from "./compare.ts";
import { fixtureFolders } from "./fixture.ts";

/** Part of the repository; another folder of fixtures may hold others. */
const REQUIRED = ["gpt2", "gpt2_sharded", "gpt_neox", "llama", "tl_attn_only"];

describe("models against the reference", () => {
  it("there are fixtures to compare with", () => {
    expect(fixtureFolders(GOLDEN), GOLDEN).not.toEqual([]);
  });

  it.each(fixtureFolders(GOLDEN))("%s: equal within tolerance, or refused by name", async (folder) => {
    const outcome = await compareFixture(folder);
    expect(outcome.status, describeOutcome(outcome)).not.toBe("failed");
  });

  describe.each(REQUIRED)("%s", (name) => {
    const folder = fixtureFolders(GOLDEN).find((path) => path.endsWith(`/${name}`));

    it.skipIf(folder === undefined && process.env["HOOKLENS_GOLDEN"])("is not refused", async () => {
      if (folder === undefined) return expect.fail(`no fixture is called ${name}`);
      expect((await compareFixture(folder)).status).toBe("ok");
    });
  });
});
