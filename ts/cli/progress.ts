/** Progress of long work, on the terminal's error stream so that output can be piped. */

import { SingleBar } from "cli-progress";
import type { Progress } from "../models/forward-options.ts";
import type { Terminal } from "./program.ts";

/** How long work takes before a bar appears, in milliseconds. */
const patience = 1000;

/** A bar that appears when work turns out to take long. */
export interface ProgressBar {
  readonly update: (progress: Progress) => void;
  /** Takes the bar away. */
  readonly stop: () => void;
}

/** Does work called `label` with a bar, which is gone when the work is over, however that ends. */
export async function withProgress<T>(
  label: string,
  terminal: Terminal,
  work: (update: ProgressBar["update"]) => T | Promise<T>,
): Promise<T> {
  const bar = progressBar(label, terminal);
  try {
    return await work(bar.update);
  } finally {
    bar.stop();
  }
}

/** A bar for work called `label`; nothing where nobody would see it. */
export function progressBar(label: string, { progress: stream }: Terminal): ProgressBar {
  if (stream === undefined) return { update: () => undefined, stop: () => undefined };
  const start = performance.now();
  let bar: SingleBar | null = null;
  return {
    update: ({ done, total }) => {
      if (bar === null) {
        if (done >= total || performance.now() - start < patience) return;
        bar = new SingleBar({
          format: `${label} {bar} {percentage} %`,
          barCompleteChar: "█",
          barIncompleteChar: "░",
          barsize: 30,
          clearOnComplete: true,
          hideCursor: true,
          stream,
        });
        bar.start(total, done);
      }
      bar.update(done);
    },
    stop: () => bar?.stop(),
  };
}
