import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { cp, writeFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";

const root = process.cwd();

/** Whether the engine has been built as WebAssembly here. Without it bundles leave it out. */
export const hasWasm = existsSync(join(root, "wasm/hooklens.js"));

/** What a bundler made of a page. */
export interface Bundle {
  /** Modules of which something is in the output, as paths inside this repository. */
  readonly modules: readonly string[];
  /** All scripts, one after the other. */
  readonly code: string;
  /** Bytes of the scripts, each compressed by itself as a server does. */
  readonly gzipped: number;
  /** Other files, by name. */
  readonly assets: ReadonlyMap<string, Uint8Array>;
}

/** A folder with the pages, in which the package is installed. */
export async function project(): Promise<{ readonly folder: string; readonly remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), "hooklens-bundle-"));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules/hooklens"), "dir");
  await cp(join(root, "tests/bundle/pages"), folder, { recursive: true });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function inside(path: string): string {
  const plain = path.replace(/\?.*$/, "");
  const installed = plain.replace(/^.*\/node_modules\/(?!hooklens\/)/, "node_modules/");
  return installed.startsWith("node_modules/") ? installed : plain.replace(/^.*\/(?=(?:dist|wasm)\/)/, "");
}

function read(folder: string, modules: readonly string[]): Bundle {
  const assets = new Map<string, Uint8Array>();
  let [code, gzipped] = ["", 0];
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!/\.\w+$/.test(name)) continue;
    const bytes = readFileSync(join(folder, name));
    if (/\.m?js$/.test(name)) {
      code += bytes.toString("utf8");
      gzipped += gzipSync(bytes, { level: 9 }).length;
    } else assets.set(name, bytes);
  }
  return { modules: modules.map(inside), code, gzipped, assets };
}

/** What esbuild makes of `page`, with no plugins. */
export async function withEsbuild(folder: string, page: string): Promise<Bundle> {
  const out = join(folder, `esbuild-${page}`);
  const { metafile } = await esbuild({
    entryPoints: [join(folder, `${page}.ts`)],
    outdir: out,
    bundle: true,
    minify: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    metafile: true,
    logLevel: "silent",
    absWorkingDir: folder,
    external: hasWasm ? [] : ["*/wasm/hooklens.js"],
  });
  const used = Object.values(metafile.outputs)
    .flatMap(({ inputs }) => Object.entries(inputs))
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path);
  return read(out, used);
}

/** What Vite makes of a page with `page` as its script, as `vite build` does; workers are modules, as their documentation says. */
export async function withVite(folder: string, page: string): Promise<Bundle> {
  const out = join(folder, `vite-${page}`);
  const html = join(folder, `${page}.html`);
  await writeFile(html, `<!doctype html><script type="module" src="./${page}.ts"></script>`);
  const used = new Set<string>();
  const external = hasWasm ? [] : [/\/wasm\/hooklens\.js$/];
  await vite({
    root: folder,
    configFile: false,
    logLevel: "silent",
    base: "./",
    worker: { format: "es", rolldownOptions: { external } },
    build: {
      outDir: out,
      target: "es2022",
      rolldownOptions: { input: html, external },
    },
    plugins: [
      {
        name: "used-modules",
        generateBundle: (_, bundle) => {
          for (const chunk of Object.values(bundle)) {
            if (chunk.type !== "chunk") continue;
            for (const [id, { renderedLength }] of Object.entries(chunk.modules)) {
              if (renderedLength > 0) used.add(id);
            }
          }
        },
      },
    ],
  });
  return read(out, [...used]);
}

/** Imports of modules that only Node has. */
export function nodeImports(code: string): string[] {
  const imported = [...code.matchAll(/(?:from|import|require)\s*\(?\s*["'`]([^"'`]+)["'`]/g)].map(
    ([, name]) => name ?? "",
  );
  return imported.filter((name) => name.startsWith("node:") || builtinModules.includes(name));
}
