import { describe, expect, it } from "vitest";
import { GOLDEN } from "../support/golden.ts";
import { compareFixture, describeOutcome } from "./compare.ts";
import { fixtureFolders } from "./fixture.ts";

describe("models against the reference", () => {
  it.each(fixtureFolders(GOLDEN))("%s: equal within tolerance, or refused by name", async (folder) => {
    const outcome = await compareFixture(folder);
    expect(outcome.status, describeOutcome(outcome)).not.toBe("failed");
  });

  it.each(["gpt2", "gpt2_sharded", "tl_attn_only"])("%s is not refused", async (name) => {
    const folder = fixtureFolders(GOLDEN).find((path) => path.endsWith(`/${name}`));
    if (folder === undefined) return;
    expect((await compareFixture(folder)).status).toBe("ok");
  });
});
