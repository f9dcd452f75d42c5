/** The programs that take turns: pages of one browser, and processes of Node. */

import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { startAsked } from "../support/lines.ts";
import type { Subject } from "./workloads.ts";

/** A program that runs. */
export interface Running extends Subject {
  close(): Promise<void>;
}

type Offering = { readonly subject: Promise<Subject> };

/** Opens a page and waits until its model is loaded. */
export async function openPage(browser: Browser, address: string): Promise<Running> {
  const page: Page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`${address}: ${error.message}`));
  page.setDefaultTimeout(0);
  await page.goto(address);
  await page.waitForFunction(() => "subject" in globalThis);
  const about = await page.evaluate(async () => (await (globalThis as unknown as Offering).subject).about);
  return {
    about,
    run: (workload) =>
      page.evaluate(async (name) => (await (globalThis as unknown as Offering).subject).run(name), workload),
    sample: () => page.evaluate(async () => (await (globalThis as unknown as Offering).subject).sample()),
    close: () => page.close(),
  };
}

/** Starts a process of Node with the native engine. */
export async function startNative(folder: string, threads: number): Promise<Running | undefined> {
  const script = fileURLToPath(new URL("native.ts", import.meta.url));
  const node = await startAsked(process.execPath, [...process.execArgv, script, folder], {
    HOOKLENS_ENGINE: "native",
    RAYON_NUM_THREADS: `${threads}`,
  });
  if (node === undefined) return undefined;
  return {
    about: node.greeting,
    run: async (workload) => Number(await node.ask(workload)),
    sample: async () => (await node.ask("sample")).split(" ").map(Number),
    close: async () => node.end(),
  };
}
