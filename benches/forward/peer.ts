/** Hugging Face's model in a Python process of its own, asked for one run at a time. */

import { fileURLToPath } from "node:url";
import { startAsked } from "../support/lines.ts";
import { peersPython } from "../support/python.ts";

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

/** Starts it; `undefined`, after saying why, where it cannot run: only ours is measured then. */
export async function startPeer(threads: number): Promise<Peer | undefined> {
  const python = peersPython({
    folder: "peers",
    requirements: "requirements.txt",
    modules: ["torch", "transformers"],
    size: "some minutes, 1 to 6 GB",
  });
  if (python === undefined) return undefined;
  const script = fileURLToPath(new URL("../peers/hugging_face.py", import.meta.url));
  const count = `${threads}`;
  const peer = await startAsked(python, [script], { BENCH_THREADS: count, OMP_NUM_THREADS: count });
  if (peer === undefined) return undefined;
  return {
    version: peer.greeting,
    async run(workload, pos) {
      const [wall = Number.NaN, cpu = Number.NaN] = (await peer.ask(`${workload} ${pos}`))
        .split(" ")
        .map(Number);
      return { wall, cpu };
    },
    end: peer.end,
  };
}
