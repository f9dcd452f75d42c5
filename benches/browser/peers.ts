/** What hooklens is compared with in a browser, and the model that all run: installed and made below `.cache`. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { GPT2_SMALL } from "../sizes.ts";
import { peersPython } from "../support/python.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const PACKAGES = { "onnxruntime-web": "1.30.0", "@huggingface/transformers": "4.3.1" } as const;

/** Peers that are installed. */
export interface Peers {
  /** The folder that they are in. */
  readonly folder: string;
  /** The folder, inside of `folder`, of the onnxruntime-web that transformers.js brings. */
  readonly runtime: string;
  /** Names and versions. */
  readonly versions: Readonly<Record<string, string>>;
}

function versionOf(folder: string): string {
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
  return version;
}

/** Installs them into a folder of their own; undefined, after saying why, where that cannot be. */
export function installPeers(): Peers | undefined {
  const root = path("../../.cache/browser-peers");
  const stamp = join(root, "installed");
  const wanted = JSON.stringify({ private: true, dependencies: PACKAGES });
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
    console.error("installing onnxruntime-web and transformers.js into .cache/browser-peers …");
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, "package.json"), wanted);
    const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    const { status } = spawnSync("npm", args, {
      cwd: root,
      stdio: ["ignore", "ignore", "inherit"],
      // Their native runtime is not used.
      env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" },
    });
    if (status !== 0) {
      console.error("the peers cannot be installed (npm is needed): only ours is measured");
      return undefined;
    }
    writeFileSync(stamp, wanted);
  }
  const folder = join(root, "node_modules");
  const own = createRequire(join(folder, "@huggingface/transformers/package.json"));
  const runtime = dirname(dirname(own.resolve("onnxruntime-web")));
  return {
    folder,
    runtime: relative(folder, runtime),
    versions: {
      "onnxruntime-web": versionOf(join(folder, "onnxruntime-web")),
      "transformers.js": versionOf(join(folder, "@huggingface/transformers")),
      "onnxruntime-web of transformers.js": versionOf(runtime),
    },
  };
}

/**
 * Makes the model of GPT-2 small's sizes with random weights, as a checkpoint and as graphs: its folder. Undefined, after
 * saying why, where that cannot be.
 */
export function makeModel(): string | undefined {
  const folder = path("../../.cache/bench-gpt2");
  const script = path("../peers/gpt2_onnx.py");
  const stamp = join(folder, "made");
  const made = readFileSync(script, "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === made) return folder;
  const python = peersPython({
    folder: "onnx-python",
    requirements: "onnx.txt",
    modules: ["numpy", "onnx"],
    size: "100 MB",
  });
  if (python === undefined) return undefined;
  console.error("making a model of GPT-2 small's sizes in .cache/bench-gpt2 (1.5 GB) …");
  mkdirSync(folder, { recursive: true });
  const { status } = spawnSync(python, [script, JSON.stringify(GPT2_SMALL), folder], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0) return undefined;
  writeFileSync(stamp, made);
  return folder;
}
