/** Hugging Face's model in a Python process of its own, asked for one run at a time. */

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** How long a run took, in milliseconds: on the clock, and on all processors together. */
export interface Run {
  readonly wall: number;
  readonly cpu: number;
}

export interface Peer {
  /** Names and versions. */
  readonly version: string;
  run(workload: string, pos: number): Promise<Run>;
  end(): void;
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] }).status === 0;
}

/**
 * A Python that has the peers: the one that `HOOKLENS_PEERS_PYTHON` names, or one of their own below `.cache`, which is
 * made if it is not there. `undefined`, after saying why, where that cannot be.
 */
function python(): string | undefined {
  const given = process.env["HOOKLENS_PEERS_PYTHON"];
  if (given !== undefined) return given;
  const folder = path("../../.cache/peers");
  const own = `${folder}/bin/python`;
  if (existsSync(`${folder}/installed`)) return own;
  console.error("installing torch and transformers into .cache/peers (some minutes, 1 to 6 GB) …");
  const installed =
    succeeds("python3", ["-m", "venv", folder]) &&
    succeeds(own, ["-m", "pip", "install", "--quiet", "-r", path("../peers/requirements.txt")]) &&
    succeeds(own, ["-c", `import torch, transformers; open(${JSON.stringify(`${folder}/installed`)}, "w")`]);
  if (installed) return own;
  console.error(
    "the peers cannot be installed (python3 with venv, and PyPI, are needed): only ours is measured",
  );
  return undefined;
}

/** Starts it; `undefined`, after saying why, where it cannot run. */
export async function startPeer(threads: number): Promise<Peer | undefined> {
  const command = python();
  if (command === undefined) return undefined;
  const child = spawn(command, [path("../peers/hugging_face.py")], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, BENCH_THREADS: `${threads}`, OMP_NUM_THREADS: `${threads}` },
  });
  child.on("error", (error) => console.error(`${command}: ${error.message}`));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done === true) {
    console.error("the peer ended before it began: only ours is measured");
    return undefined;
  }
  return {
    version: first.value,
    async run(workload, pos) {
      child.stdin.write(`${workload} ${pos}\n`);
      const answer = await lines.next();
      if (answer.done === true) throw new Error(`the peer ended while running ${workload} ${pos}`);
      const [wall = Number.NaN, cpu = Number.NaN] = answer.value.split(" ").map(Number);
      return { wall, cpu };
    },
    end: () => child.stdin.end(),
  };
}
