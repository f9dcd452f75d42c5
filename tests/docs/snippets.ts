import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A TypeScript example in the documentation. */
export interface Snippet {
  /** Where it stands, as `file:line`. */
  readonly place: string;
  readonly code: string;
  /** What the documentation says it prints, if it does. */
  readonly output: string | undefined;
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/** Fenced `ts` blocks of a Markdown file, each with the `text` block that follows it, if one does. */
export function markdownSnippets(file: string): Snippet[] {
  const text = readFileSync(file, "utf8");
  const fences = /```ts\n([\s\S]*?)```(?:\n[^`]*?```text\n([\s\S]*?)```)?/g;
  return [...text.matchAll(fences)].map((match) => ({
    place: `${file}:${lineOf(text, match.index)}`,
    code: match[1] ?? "",
    output: match[2],
  }));
}

/** Fenced `ts` blocks inside the doc comments of a source file. */
export function docCommentSnippets(file: string): Snippet[] {
  const text = readFileSync(file, "utf8");
  const found: Snippet[] = [];
  for (const comment of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    for (const fence of comment[0].matchAll(/```ts\n([\s\S]*?)```/g)) {
      const code = (fence[1] ?? "").replace(/^[ \t]*\* ?/gm, "");
      found.push({ place: `${file}:${lineOf(text, comment.index + fence.index)}`, code, output: undefined });
    }
  }
  return found;
}

/** Every file below a folder with that ending. */
export function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return filesBelow(path, ending);
    return name.endsWith(ending) ? [path] : [];
  });
}

/** What an example in a doc comment may use without saying where it comes from; later ones are made from earlier. */
const GIVEN: readonly (readonly [name: string, line: string])[] = [
  ["model", 'const model = await HookedTransformer.fromPretrained("builtin:tiny");'],
  ["prompt", 'const prompt = "In the beginning God created the heaven";'],
  ["cache", "const [, cache] = model.runWithCache(prompt);"],
];

/** Adds what {@link GIVEN} names and imports of the library's exports, which doc comments need not repeat. */
function withImports(code: string, library: string, exported: readonly string[]): string {
  const uses = (name: string, text: string) => new RegExp(`(?<![.\\w])${name}\\b(?!:)`).test(text);
  const declares = (name: string, text: string) =>
    new RegExp(`\\b(?:const|let|using)[^=]*\\b${name}\\b`).test(text);
  let body = code.replaceAll('"hooklens"', JSON.stringify(library));
  for (const [name, line] of GIVEN.toReversed()) {
    if (uses(name, body) && !declares(name, body)) body = `${line}\n${body}`;
  }
  const imported = new Set(
    [...body.matchAll(/import\s*(?:type\s*)?\{([^}]*)\}/g)].flatMap((m) =>
      (m[1] ?? "").split(",").map((name) => name.trim().replace(/^type /, "")),
    ),
  );
  const declared = new Set(
    [...body.matchAll(/\b(?:const|let|using|class|function)\s+(\w+)/g)].map((m) => m[1]),
  );
  const missing = exported.filter((name) => !imported.has(name) && !declared.has(name) && uses(name, body));
  const header =
    missing.length > 0 ? `import { ${missing.join(", ")} } from ${JSON.stringify(library)};\n` : "";
  return `${header}${body}\nexport {};\n`;
}

/** Writes each snippet as a module of its own, for running and for type-checking; gives the files. */
export function writeModules(
  folder: string,
  snippets: readonly Snippet[],
  library: string,
  exported: readonly string[],
): string[] {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return snippets.map((snippet, i) => {
    const file = join(folder, `example-${i}.ts`);
    writeFileSync(file, `// ${snippet.place}\n${withImports(snippet.code, library, exported)}`);
    return file;
  });
}
