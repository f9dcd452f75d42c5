// Lays out and packs what is published: the main package and one package a platform that has a binary here.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fail, root } from "./steps.mjs";

const read = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));

/** Platform folders under npm/ whose binary has been built. */
function platforms() {
  return readdirSync(join(root, "npm"))
    .map((folder) => ({ folder: join("npm", folder), manifest: read(join("npm", folder, "package.json")) }))
    .filter(({ folder, manifest }) => existsSync(join(root, folder, manifest.main)));
}

function npmPack(folder, into) {
  const packed = spawnSync("npm", ["pack", "--json", "--loglevel=error", "--pack-destination", into], {
    cwd: folder,
    encoding: "utf8",
  });
  if (packed.status !== 0) fail(`npm pack in ${folder}: ${packed.stderr}`);
  const report = JSON.parse(packed.stdout);
  const [info] = Array.isArray(report) ? report : Object.values(report);
  return { file: join(into, info.filename), size: info.size, entries: info.files.map((file) => file.path) };
}

/**
 * Packs everything into `into`. The platform packages become optional dependencies of the main package here, not in the
 * repository: a checkout uses the binary that it built itself.
 */
export function packAll(into) {
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  const built = platforms();
  const manifest = read("package.json");
  const { devDependencies: _unused, scripts: _unusedToo, ...published } = manifest;
  published.optionalDependencies = Object.fromEntries(
    built.map(({ manifest: { name, version } }) => [name, version]),
  );
  const stage = join(into, "stage");
  mkdirSync(stage);
  for (const path of manifest.files) {
    if (!existsSync(join(root, path))) fail(`package.json lists '${path}', which does not exist`);
    cpSync(join(root, path), join(stage, path), { recursive: true });
  }
  writeFileSync(join(stage, "package.json"), `${JSON.stringify(published, null, 2)}\n`);
  const main = npmPack(stage, into);
  return { main, platforms: built.map(({ folder }) => npmPack(join(root, folder), into)) };
}
