// What a visitor does with the explorer's page, in a real browser.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromHash, readExperiment } from "../../explorer/src/experiment.ts";
import { canServe } from "../support/serving.ts";
import { complaints, picture, type Served, servedPage } from "./page.ts";

let served: Served;
beforeAll(async () => {
  if (canServe) served = await servedPage();
}, 120_000);
afterAll(() => served?.[Symbol.asyncDispose]());

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A page that has shown its first answer; at the end nothing may have been complained about. */
async function visit(
  flow: (page: Page, found: string[]) => Promise<void>,
  { hash = "", ...options }: { hash?: string } & Parameters<Served["browser"]["newContext"]>[0] = {},
): Promise<void> {
  const context = await served.browser.newContext(options);
  try {
    const page = await context.newPage();
    const found = complaints(page);
    await page.goto(served.url + hash);
    await page.locator(".next tbody tr").first().waitFor({ timeout: 60_000 });
    await flow(page, found);
    expect(found).toEqual([]);
  } finally {
    await context.close();
  }
}

const best = (page: Page) => page.locator(".next .word").first().textContent();
const edits = (page: Page) => page.locator(".edits li span").allTextContents();

describe.runIf(canServe)("the explorer's page", () => {
  test("zeroes a head by keyboard alone, and shows the difference", () =>
    visit(async (page) => {
      expect(await best(page)).toBe("·a");
      await page.getByRole("radio", { name: "head 0.0" }).focus();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      expect(await page.getByRole("radio", { name: "head 1.0" }).getAttribute("aria-checked")).toBe("true");
      await page.getByRole("button", { name: "Zero" }).focus();
      await page.keyboard.press("Enter");
      await page.locator(".next .is").first().waitFor();
      expect(await edits(page)).toEqual(["head 1.0: zero, all positions"]);
      expect(await best(page)).toBe("·the");
      expect(await page.getByRole("radio", { name: "with edits", exact: true }).isChecked()).toBe(true);
    }));

  test("shows what an edit changes in patterns, from the block behind it on", () =>
    visit(async (page) => {
      const caption = page.locator("hl-large-pattern figcaption");
      await page.locator("[data-at='1.0']").click();
      await page.getByRole("button", { name: "Zero" }).click();
      await page.getByRole("radio", { name: "difference" }).check();
      await caption
        .filter({ hasText: "Head 1.0 rows look at columns; the edits change nothing here" })
        .waitFor();
      await page.locator("[data-at='3.0']").click();
      await caption.filter({ hasText: /Head 3.0 .*full colour is [\d.]+ points/ }).waitFor();
      await page.getByRole("img", { name: /Attention of head 3.0/ }).hover();
      await page
        .locator("hl-large-pattern p")
        .filter({ hasText: /looks at .*: [+−]?[\d.]+ points/ })
        .waitFor();
    }));

  test("patches from the second prompt: all of the embedding makes it that prompt", () =>
    visit(async (page) => {
      await page.getByRole("radio", { name: "embedding" }).click();
      await page.getByRole("button", { name: "Patch from second prompt" }).click();
      await page.locator(".next .is").first().waitFor();
      const patched = await best(page);
      await page.getByRole("button", { name: "Remove all" }).click();
      await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("And God said, Let there is");
      await page.locator(".token", { hasText: "is" }).waitFor();
      expect(await best(page)).toBe(patched);
    }));

  test("changes one position, scaled", () =>
    visit(async (page) => {
      await page.locator(".token").nth(7).click();
      await page.getByRole("radio", { name: "MLP of block 0" }).click();
      await page.getByLabel("Factor").fill("-2");
      await page.getByLabel("Factor").blur();
      await page.getByRole("button", { name: "Scale by" }).click();
      await page.locator(".next .is").first().waitFor();
      expect(await edits(page)).toEqual(["MLP of block 0: × -2, position 7 ·there"]);
    }));

  test("exports what it imports, and shares it as a link", () =>
    visit(async (page) => {
      await page.getByRole("radio", { name: "head 2.3" }).click();
      await page.getByRole("button", { name: "Zero" }).click();
      await page.locator(".next .is").first().waitFor();
      const loading = page.waitForEvent("download");
      await page.getByRole("button", { name: "Export JSON" }).click();
      const text = readFileSync(await (await loading).path(), "utf8");
      const experiment = readExperiment(text);
      expect(experiment.edits).toEqual([{ part: "head", layer: 2, head: 3, action: "zero" }]);
      expect(fromHash(new URL(page.url()).hash)).toEqual(experiment);

      await page.getByRole("button", { name: "Remove all" }).click();
      await page.locator(".next .is").first().waitFor({ state: "detached" });
      const file = { name: "x.json", mimeType: "application/json", buffer: Buffer.from(text) };
      await page.locator("input[type=file]").first().setInputFiles(file);
      await page.locator(".next .is").first().waitFor();
      expect(await edits(page)).toEqual(["head 2.3: zero, all positions"]);

      await page
        .locator("input[type=file]")
        .first()
        .setInputFiles({ ...file, buffer: Buffer.from("{}") });
      expect(await page.getByRole("alert").textContent()).toMatch(/x.json: 'version' should be 1/);

      const other = await page.context().newPage();
      await other.goto(page.url());
      await other.locator(".next .is").first().waitFor({ timeout: 60_000 });
      expect(await edits(other)).toEqual(["head 2.3: zero, all positions"]);
    }));

  test("says what is wrong, and goes on", () =>
    visit(async (page) => {
      const prompt = page.getByRole("textbox", { name: "Prompt", exact: true });
      await prompt.fill("");
      expect(await page.getByRole("alert").textContent()).toMatch(/prompt is empty/);
      await prompt.fill("word ".repeat(300));
      await page
        .getByRole("alert")
        .filter({ hasText: /n_ctx = 128/ })
        .waitFor();
      await prompt.fill("And the");
      await page.getByRole("alert").waitFor({ state: "detached" });
      expect(await page.locator(".token").count()).toBe(3);
    }));

  test("says that a link is damaged", () =>
    visit(
      async (page) => {
        expect(await page.locator(".token").count()).toBe(9);
        expect(await page.getByRole("alert").textContent()).toMatch(/This link cannot be read/);
        await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("And the");
        await page.getByRole("alert").waitFor({ state: "detached" });
      },
      { hash: "#!!" },
    ));

  test("runs the other model", () =>
    visit(async (page) => {
      await page.getByRole("combobox", { name: "Model" }).selectOption("builtin:induction");
      await page.getByText("builtin:induction: 2 layers").waitFor({ timeout: 60_000 });
      expect(await page.getByRole("radio", { name: /MLP/ }).count()).toBe(0);
      await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("one two three one two");
      await page.locator(".word", { hasText: "·three" }).waitFor();
      expect(await best(page)).toBe("·three");
    }));

  test("starts another worker when the browser ends the first", () =>
    visit(async (page) => {
      const [first] = page.workers();
      const gone = page.workers().length;
      await first?.evaluate("close()");
      await expect.poll(() => page.workers().length).toBeLessThan(gone);
      await page.getByRole("radio", { name: "head 1.0" }).click();
      await page.getByRole("button", { name: "Zero" }).click();
      await page.locator(".next .is").first().waitFor();
      expect(await best(page)).toBe("·the");
      expect(page.workers()).toHaveLength(1);
    }));

  test("opens again without a network, and runs", async () => {
    const host = await served.another();
    const context = await served.browser.newContext();
    try {
      const page = await context.newPage();
      await page.goto(host.url);
      await page.locator(".next tbody tr").first().waitFor({ timeout: 60_000 });
      await page.evaluate("navigator.serviceWorker.ready.then(() => undefined)");
      await page.getByRole("radio", { name: "head 1.0" }).click();
      await page.getByRole("button", { name: "Zero" }).click();
      await page.locator(".next .is").first().waitFor();
      const before = await page.locator(".next").textContent();
      host.stop();
      await context.setOffline(true);
      const found = complaints(page);
      await page.reload();
      await page.locator(".next .is").first().waitFor({ timeout: 60_000 });
      expect(await page.locator(".next").textContent()).toBe(before);
      await page.getByRole("combobox", { name: "Model" }).selectOption("builtin:induction");
      await page.getByText("builtin:induction: 2 layers").waitFor({ timeout: 60_000 });
      // That the page itself was asked for in vain is said by the browser.
      expect(found.filter((text) => !text.includes("net::ERR_"))).toEqual([]);
    } finally {
      await context.close();
      host.stop();
    }
  });
});

describe.runIf(canServe).each(["light", "dark"] as const)("in %s colours", (colorScheme) => {
  test.each([1280, 390])("at %d pixels nothing is inaccessible or out of sight", (width) =>
    visit(
      async (page) => {
        await page.getByRole("radio", { name: "head 1.0" }).click();
        await page.getByRole("button", { name: "Zero" }).click();
        await page.locator(".next .is").first().waitFor();
        await page.addScriptTag({ content: axe });
        const violations: unknown = await page.evaluate(
          "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))",
        );
        expect(violations).toEqual([]);
        await picture(page, `${colorScheme}-${width}`);
        const sideways = "document.documentElement.scrollWidth > innerWidth";
        expect(await page.evaluate(sideways)).toBe(false);
      },
      // The checker is a script that the page's policy would not run.
      { colorScheme, viewport: { width, height: 900 }, bypassCSP: true },
    ),
  );
});
