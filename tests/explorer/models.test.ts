// Models that a visitor brings: from an address, of this device, by a link, in a real browser.

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Experiment, fromHash, toHash } from "../../explorer/src/experiment.ts";
import { HookedTransformer } from "../../ts/index.ts";
import { MODELS, serve } from "../loading/server.ts";
import { canServe } from "../support/serving.ts";
import { complaints, picture, type Served, servedPage } from "./page.ts";

let served: Served;
beforeAll(async () => {
  if (canServe) served = await servedPage();
}, 120_000);
afterAll(() => served?.[Symbol.asyncDispose]());

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function visit(
  flow: (page: Page, found: string[]) => Promise<void>,
  { hash = "", ...options }: { hash?: string } & Parameters<Served["browser"]["newContext"]>[0] = {},
): Promise<void> {
  const context = await served.browser.newContext(options);
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const found = complaints(page);
    await page.goto(served.url + hash);
    await flow(page, found);
    expect(found).toEqual([]);
  } finally {
    await context.close();
  }
}

const link = (model: string) => {
  const experiment: Experiment = { version: 1, model, prompt: "And God said,", source: "", edits: [] };
  return `#${toHash(experiment)}`;
};
const answered = (page: Page) => page.locator(".next tbody tr").first().waitFor();
const open = (page: Page) => page.getByText("Another model", { exact: true }).click();
const address = (page: Page) => page.getByLabel("Address of a folder");
const footer = (page: Page, text: string) => page.locator("footer").filter({ hasText: text }).waitFor();
const alert = (page: Page) => page.getByRole("alert").textContent();

/** Files of a built-in model, as an input takes them. */
const filesOf = (name: string) =>
  ["config.json", "tl_config.json", "model.safetensors", "tokenizer.json"].flatMap((file) => {
    try {
      const buffer = readFileSync(join(MODELS, name, file));
      return [{ name: file, mimeType: "application/octet-stream", buffer }];
    } catch {
      return [];
    }
  });

describe.runIf(canServe)("a model from another site", () => {
  test("is loaded by keyboard, kept for the next visit, and deleted", async () => {
    await using server = await serve({ root: MODELS });
    await visit(async (page) => {
      await answered(page);
      await open(page);
      await address(page).fill(server.url("induction"));
      await page.keyboard.press("Enter");
      await footer(page, "/induction: 2 layers × 4 heads");
      await page
        .getByRole("list", { name: "Kept on this device" })
        .getByText(/induction/)
        .waitFor();
      expect(page.url()).toMatch(/#\w{50}/);

      // What is kept needs no permission, nor the weights once more.
      const before = server.sent.bytes;
      await page.reload();
      await answered(page);
      expect(server.sent.bytes).toBe(before);
      await open(page);
      await page.getByRole("button", { name: /^Delete .*induction from this device/ }).click();
      await page.getByRole("list", { name: "Kept on this device" }).waitFor({ state: "detached" });
    });
  });

  test("of a link is fetched only when someone agrees", async () => {
    await using server = await serve({ root: MODELS });
    const hash = link(server.url("tiny"));
    await visit(
      async (page) => {
        await page.getByText("Nothing has been fetched from there yet.").waitFor();
        expect(server.seen).toEqual([]);
        await page.getByRole("button", { name: "Load it" }).click();
        await answered(page);
        await footer(page, "/tiny: 4 layers");
      },
      { hash },
    );
  });

  test("tells how far it is, and may be cancelled", async () => {
    await using server = await serve({
      root: MODELS,
      instead: ({ path }, response) => {
        if (!path.endsWith("model.safetensors")) return false;
        const all = readFileSync(join(MODELS, path));
        response.writeHead(200, { "content-length": String(all.length) });
        response.write(all.subarray(0, all.length / 3));
        return true;
      },
    });
    await visit(async (page) => {
      await answered(page);
      await open(page);
      await address(page).fill(server.url("tiny"));
      await page.getByRole("button", { name: "Load", exact: true }).click();
      await page.getByText(/[\d.]+ MB of 3\.8 MB of weights/).waitFor();
      await page.getByRole("status").filter({ hasText: "Loading the model, 25 %" }).waitFor();
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.getByText("Loading was cancelled.").waitFor();
      await page.getByRole("button", { name: "Try again" }).waitFor();
      await page.getByRole("combobox", { name: "Model" }).selectOption("builtin:tiny");
      await answered(page);
      expect(await page.getByRole("alert").count()).toBe(0);
    });
  });

  test("that says nothing to pages of others is refused by cause, and is not asked again and again", async () => {
    await using server = await serve({ root: MODELS, cors: false });
    await visit(async (page, found) => {
      await answered(page);
      await open(page);
      await address(page).fill(server.url("tiny"));
      await page.keyboard.press("Enter");
      await page.getByRole("alert").waitFor();
      expect(await alert(page)).toMatch(/CORS: it has to send the header access-control-allow-origin/);
      const asked = server.seen.length;
      await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("And the");
      await page.waitForTimeout(1000);
      expect(server.seen.length).toBe(asked);
      // Browsers say it as well.
      expect(found.splice(0).every((text) => /CORS|net::ERR_FAILED/.test(text))).toBe(true);
    });
  });

  test("has an address, or that is said", () =>
    visit(async (page) => {
      await answered(page);
      await open(page);
      await address(page).fill("ftp://example.org/gpt2");
      await page.keyboard.press("Enter");
      expect(await alert(page)).toMatch(/begin with https:/);
      expect(await address(page).getAttribute("aria-invalid")).toBe("true");
      expect(await address(page).evaluate((input) => input.matches(":focus"))).toBe(true);
    }));
});

describe.runIf(canServe)("files of this device", () => {
  test("are run, and what is missing among them is said", () =>
    visit(async (page) => {
      await answered(page);
      await open(page);
      const files = page.locator("input[name=files]");
      await files.setInputFiles(filesOf("induction"));
      await footer(page, "files (of this device): 2 layers");
      await files.setInputFiles(filesOf("induction").slice(0, 1));
      await page.getByRole("alert").waitFor();
      expect(await alert(page)).toMatch(/model\.safetensors/);
      await files.setInputFiles(filesOf("tiny"));
      await footer(page, "files (of this device): 4 layers");
    }));

  test("may have many heads, which are walked through from the embedding and back", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hooklens-heads-"));
    try {
      const sizes = { n_layers: 2, d_model: 48, n_ctx: 32, d_head: 4, n_heads: 12, d_mlp: 96, d_vocab: 1024 };
      using model = HookedTransformer.fromConfig({ ...sizes, act_fn: "gelu_new", seed: 0 });
      writeFileSync(join(folder, "tl_config.json"), JSON.stringify(model.cfg));
      cpSync(join(MODELS, "tiny/tokenizer.json"), join(folder, "tokenizer.json"));
      await model.save(join(folder, "model.safetensors"));
      const files = readdirSync(folder).map((name) => join(folder, name));
      await visit(
        async (page) => {
          await answered(page);
          await open(page);
          await page.locator("input[name=files]").setInputFiles(files);
          await footer(page, "files (of this device): 2 layers × 12 heads");
          const at = () => page.evaluate("document.activeElement.getAttribute('aria-label')");
          await page.getByRole("radio", { name: "embedding" }).focus();
          const walked: unknown[] = [];
          for (const key of ["ArrowDown", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp", "End"]) {
            await page.keyboard.press(key);
            walked.push(await at());
          }
          expect(walked).toEqual([
            "head 0.0",
            "head 0.1",
            "head 1.1",
            "head 0.1",
            "embedding",
            "residual stream after block 1",
          ]);
          const sideways = "document.querySelector('hl-head-grid .scroll')";
          expect(await page.evaluate(`${sideways}.scrollWidth <= ${sideways}.clientWidth`)).toBe(true);
        },
        { viewport: { width: 1280, height: 900 } },
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("are run in half precision", () =>
    visit(async (page) => {
      await answered(page);
      await open(page);
      await page.getByRole("checkbox", { name: /half precision/ }).check();
      await page.locator("input[name=files]").setInputFiles(filesOf("tiny"));
      await footer(page, "files (of this device): 4 layers");
      expect(await page.locator(".next .word").first().textContent()).toBe("·a");
      await footer(page, "weights in half precision");
      expect(fromHash(new URL(page.url()).hash)).toMatchObject({ model: "local:files", dtype: "float16" });
    }));

  test("may be dropped", () =>
    visit(async (page) => {
      await answered(page);
      const files = filesOf("tiny").map(({ name, buffer }) => [name, buffer.toString("base64")]);
      const script = `const data = new DataTransfer();
        for (const [name, text] of ${JSON.stringify(files)}) {
          data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
        }
        data`;
      const dataTransfer = await page.evaluateHandle(script);
      await page.dispatchEvent("body", "dragover", { dataTransfer });
      await page.getByText("Drop a model’s folder or files").waitFor();
      await page.dispatchEvent("body", "drop", { dataTransfer });
      await footer(page, "files (of this device): 4 layers");
      expect(await page.getByText("Drop a model’s folder or files").count()).toBe(0);
    }));

  test("have to be chosen where a link is about them", () =>
    visit(
      async (page) => {
        await page.getByText("which a link cannot carry").waitFor();
        await page.locator("input[name=files]").setInputFiles(filesOf("tiny"));
        await answered(page);
        expect(await page.locator(".token").count()).toBe(5);
      },
      { hash: link("local:files") },
    ));
});

describe.runIf(canServe).each(["light", "dark"] as const)(
  "the choice of models in %s colours",
  (colorScheme) => {
    test.each([1280, 390])("at %d pixels is accessible and in sight", (width) =>
      visit(
        async (page) => {
          await answered(page);
          await open(page);
          await address(page).fill("nowhere:");
          await page.keyboard.press("Enter");
          await page.getByRole("alert").waitFor();
          await page.addScriptTag({ content: axe });
          const violations: unknown = await page.evaluate(
            "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))",
          );
          expect(violations).toEqual([]);
          await picture(page, `models-${colorScheme}-${width}`);
          expect(await page.evaluate("document.documentElement.scrollWidth > innerWidth")).toBe(false);
        },
        { colorScheme, viewport: { width, height: 900 }, bypassCSP: true },
      ),
    );
  },
);
