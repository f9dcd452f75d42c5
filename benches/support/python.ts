/** A Python for what benches compare with. */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] }).status === 0;
}

/** What a Python has to have. */
export interface Needed {
  /** The environment's folder below `.cache`, and its list of packages in `benches/peers`. */
  readonly folder: string;
  readonly requirements: string;
  /** What is imported of them. */
  readonly modules: readonly string[];
  /** How large it is, in words. */
  readonly size: string;
}

/**
 * The Python that `HOOKLENS_PEERS_PYTHON` names, if it has all modules, or one of its own below `.cache`, which is made if
 * it is not there. `undefined`, after saying why, where that cannot be.
 */
export function peersPython({ folder: name, requirements, modules, size }: Needed): string | undefined {
  const probe = `import ${modules.join(", ")}`;
  const given = process.env["HOOKLENS_PEERS_PYTHON"];
  if (given !== undefined && spawnSync(given, ["-c", probe], { stdio: "ignore" }).status === 0) return given;
  const folder = path(`../../.cache/${name}`);
  const own = `${folder}/bin/python`;
  if (existsSync(`${folder}/installed`)) return own;
  console.error(`installing ${modules.join(" and ")} into .cache/${name} (${size}) …`);
  const installed =
    succeeds("python3", ["-m", "venv", folder]) &&
    succeeds(own, ["-m", "pip", "install", "--quiet", "-r", path(`../peers/${requirements}`)]) &&
    succeeds(own, ["-c", `${probe}; open(${JSON.stringify(`${folder}/installed`)}, "w")`]);
  if (installed) return own;
  console.error(`${modules.join(" and ")} cannot be installed: python3 with venv, and PyPI, are needed`);
  return undefined;
}
