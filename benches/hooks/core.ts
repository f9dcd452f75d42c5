/** The engine's own bench of hook points, which no JavaScript takes part in. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** One row of `crates/core/benches/hooks.rs`. */
export interface CoreResult {
  readonly name: string;
  readonly shape: readonly number[];
  readonly tracked?: boolean;
  readonly ns: number;
  /** Nanoseconds of the same arithmetic without a hook. */
  readonly arithmetic?: number;
  readonly over?: number;
  readonly limit: number;
  readonly holds: boolean;
}

/** Runs it with cargo. */
export function measureCore(): readonly CoreResult[] {
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const run = spawnSync("cargo", ["bench", "--quiet", "--workspace", "--bench", "hooks"], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (run.status !== 0) throw new Error(`cargo bench ended with ${run.status ?? run.signal}`);
  const { results }: { results: CoreResult[] } = JSON.parse(run.stdout);
  return results;
}
