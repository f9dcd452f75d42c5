import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { VERSION } from "../../ts/version.ts";
import { NOT_IN_PAGES } from "../browser/not-in-pages.ts";
import { FILES_NOT_ON_WASM, TESTS_NOT_ON_WASM } from "../support/not-on-wasm.ts";

const tracked = execFileSync("git", ["ls-files"], { encoding: "utf8" }).split("\n").filter(Boolean);

describe("repository", () => {
  it("keeps the versions of the package, the crates and the platform packages in step", () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    const cargo = /^version = "(.+)"$/m.exec(readFileSync("Cargo.toml", "utf8"))?.[1];
    expect(cargo).toBe(version);
    expect(VERSION).toBe(version);
    for (const file of tracked.filter((name) => /^npm\/[^/]+\/package\.json$/.test(name))) {
      expect((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version, file).toBe(version);
    }
  });

  it("lists only tests that exist among those that are not run on WebAssembly", () => {
    for (const file of Object.keys(FILES_NOT_ON_WASM)) expect(tracked).toContain(file);
    for (const [file, tests] of Object.entries(TESTS_NOT_ON_WASM)) {
      const source = readFileSync(file, "utf8");
      for (const [name, why] of Object.entries(tests)) {
        expect(source, file).toContain(JSON.stringify(name));
        expect(why.length, name).toBeGreaterThan(20);
      }
    }
  });

  it("says in the README how many model families there are", () => {
    const list = /FAMILIES: [^=]*= &\[(.*?)\];/s.exec(
      readFileSync("crates/core/src/families/mod.rs", "utf8"),
    )?.[1];
    const count = list?.match(/&\w+::/g)?.length ?? 0;
    const words = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    expect(readFileSync("README.md", "utf8")).toContain(
      `| number of model families | ${words[count]} so far, `,
    );
  });

  it("keeps source files near one noun: none over 600 lines", () => {
    const long = tracked
      .filter((name) => /\.(rs|ts|mjs)$/.test(name))
      .map((name) => [name, readFileSync(name, "utf8").split("\n").length] as const)
      .filter(([, lines]) => lines > 600);
    expect(long).toEqual([]);
  });

  it("leaves out of pages only suites that exist", () => {
    expect(Object.keys(NOT_IN_PAGES).filter((name) => !tracked.includes(name))).toEqual([]);
  });

  it("names no place outside the project", () => {
    const texts = tracked.filter(
      (name) => /\.(rs|ts|mjs|md|toml|json|yml)$/.test(name) && !name.startsWith("tests/fixtures/"),
    );
    const places = new RegExp(["/wo" + "rk/", "/ro" + "ot/", "\\.\\./sha" + "red"].join("|"));
    expect(texts.filter((name) => places.test(readFileSync(name, "utf8")))).toEqual([]);
  });
});
