/** Pages and their workers. */

import { builtinAssets } from "./builtin-assets.ts";
import type { Platform } from "./platform.ts";

interface Page {
  readonly document?: { readonly baseURI: string };
  readonly location?: { readonly href: string };
}

function pageUrl(): string | null {
  const { document, location } = globalThis as Page;
  return document?.baseURI ?? location?.href ?? null;
}

const waiting: (() => void)[] = [];
let channel: InstanceType<typeof MessageChannel> | undefined;

/** One task of the event loop later. Timers would do, but browsers make nested ones wait four milliseconds. */
function turn(): Promise<void> {
  if (channel === undefined) {
    channel = new MessageChannel();
    channel.port1.addEventListener("message", () => waiting.shift()?.());
    channel.port1.start();
  }
  const { port2 } = channel;
  return new Promise((resolve) => {
    waiting.push(resolve);
    port2.postMessage(null);
  });
}

/** A page or a worker of one. */
export const browserPlatform: Platform = { files: null, turn, pageUrl, builtin: builtinAssets };
