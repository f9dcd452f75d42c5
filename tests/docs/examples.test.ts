import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as library from "../../ts/index.ts";
import { docCommentSnippets, filesBelow, markdownSnippets, writeModules } from "./snippets.ts";

const folder = resolve("tests/docs/generated");
const snippets = [
  ...markdownSnippets("README.md"),
  ...filesBelow("docs", ".md")
    .filter((file) => !file.startsWith("docs/api"))
    .flatMap(markdownSnippets),
  ...filesBelow("ts", ".ts").flatMap(docCommentSnippets),
];
const files = writeModules(folder, snippets, "../../../ts/index.ts", Object.keys(library));

afterEach(() => {
  vi.restoreAllMocks();
});

describe("examples in the README, the guides and doc comments", () => {
  it("type-check as a user's strict program would", () => {
    const tsc = spawnSync("node", ["node_modules/typescript/bin/tsc", "-p", "tests/docs/tsconfig.json"], {
      encoding: "utf8",
    });
    expect(
      tsc.stdout.replaceAll(/generated\/example-(\d+)\.ts/g, (_, i) => snippets[Number(i)]?.place ?? "?"),
    ).toBe("");
  });

  it.each(snippets.map((snippet, i) => [snippet.place, snippet, files[i] ?? ""] as const))(
    "%s runs",
    async (_, snippet, file) => {
      const printed: string[] = [];
      vi.spyOn(console, "log").mockImplementation((...values: unknown[]) => {
        printed.push(values.map(String).join(" "));
      });
      await import(/* @vite-ignore */ file);
      if (snippet.output !== undefined) expect(printed.join("\n").trim()).toBe(snippet.output.trim());
    },
  );
});
