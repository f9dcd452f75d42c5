/** The programs that take turns: pages of one browser, and processes of Node. */

import { fileURLToPath } from "node:url";
import type { Browser, CDPSession, Page } from "playwright-core";
import type { Run } from "../forward/peer.ts";
import { startAsked } from "../support/lines.ts";
import type { Subject } from "./workloads.ts";

/** A program that runs. */
export interface Running extends Omit<Subject, "run"> {
  /** Runs a workload once. */
  run(workload: string): Promise<Run>;
  close(): Promise<void>;
}

/** Milliseconds that all pages of a browser have used of all processors. Only one of them is asked for anything at a time. */
async function processorTime(session: CDPSession): Promise<number> {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return processInfo
    .filter(({ type }) => type === "renderer")
    .reduce((sum, { cpuTime }) => sum + 1000 * cpuTime, 0);
}

type Offering = { readonly subject: Promise<Subject> };

/** Opens a page and waits until its model is loaded. */
export async function openPage(browser: Browser, address: string): Promise<Running> {
  // In a context of its own, and so in a process of its own.
  const page: Page = await browser.newPage();
  const session = await browser.newBrowserCDPSession();
  page.on("pageerror", (error) => console.error(`${address}: ${error.message}`));
  page.setDefaultTimeout(0);
  await page.goto(address);
  await page.waitForFunction(() => "subject" in globalThis);
  const about = await page.evaluate(async () => (await (globalThis as unknown as Offering).subject).about);
  return {
    about,
    run: async (workload) => {
      const before = await processorTime(session);
      const wall = await page.evaluate(
        async (name) => (await (globalThis as unknown as Offering).subject).run(name),
        workload,
      );
      return { wall, cpu: (await processorTime(session)) - before };
    },
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
    run: async (workload) => {
      const [wall = Number.NaN, cpu = Number.NaN] = (await node.ask(workload)).split(" ").map(Number);
      return { wall, cpu };
    },
    sample: async () => (await node.ask("sample")).split(" ").map(Number),
    close: async () => node.end(),
  };
}
