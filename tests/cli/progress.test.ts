// Bars of work that takes long: on the error stream, and only there.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { WriteStream } from "node:tty";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { progressBar, withProgress } from "../../ts/cli/progress.ts";
import { runCommand } from "../support/command.ts";

const folder = mkdtempSync(join(tmpdir(), "hooklens-progress-"));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

/** A terminal that keeps what is drawn. */
function terminal(): { readonly progress: WriteStream; readonly drawn: () => string } {
  const stream = new PassThrough();
  let text = "";
  stream.on("data", (data: Buffer) => {
    text += data.toString();
  });
  const cursor = (name: "cursorTo" | "clearLine" | "moveCursor") => WriteStream.prototype[name];
  const progress = Object.assign(stream, {
    isTTY: true,
    columns: 100,
    cursorTo: cursor("cursorTo"),
    clearLine: cursor("clearLine"),
    moveCursor: cursor("moveCursor"),
  });
  return { progress: progress as unknown as WriteStream, drawn: () => text };
}

/** A clock on which this much time passes between two looks. */
function clockOf(milliseconds: number): void {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => {
    now += milliseconds;
    return now;
  });
}

async function drawnBy(args: readonly string[]): Promise<string> {
  const { progress, drawn } = terminal();
  const world = { isTTY: true, columns: 100, env: {}, cwd: folder, progress };
  const { code, err } = await runCommand(args, world);
  expect([code, err]).toEqual([0, ""]);
  return drawn();
}

const slow: readonly (readonly [string, readonly string[]])[] = [
  ["looking at hook points", ["info", "builtin:tiny"]],
  ["looking at hook points", ["hooks", "builtin:tiny", "blocks.*.attn.*"]],
  ["explaining", ["explain", "And God said", "--no-html"]],
  ["writing the report", ["explain", "And God said", "--html", "report.html"]],
];

describe("a bar", () => {
  test.each(slow)("%s: %j", async (label, args) => {
    clockOf(1100);
    const drawn = await drawnBy(args);
    expect(drawn).toContain(`${label} `);
    expect(drawn).toMatch(/█*░* \d+ %/);
    // The cursor is shown again and the line is empty.
    expect(drawn.lastIndexOf("\u001b[?25h")).toBeGreaterThan(drawn.lastIndexOf("\u001b[?25l"));
    expect(drawn).not.toMatch(/\d %\s*$/);
  });

  test.each(slow)("is not drawn before a second has passed: %s: %j", async (_, args) => {
    clockOf(1);
    expect(await drawnBy(args)).toBe("");
  });

  test.each(slow)("is not drawn beside data: %s: %j", async (_, args) => {
    clockOf(1100);
    expect(await drawnBy([...args, "--json"])).toBe("");
  });

  test("is not begun by work that is just done, and ends with work that fails", async () => {
    clockOf(2000);
    const world = {
      ...terminal(),
      out: () => {},
      err: () => {},
      isTTY: true,
      columns: 80,
      env: {},
      cwd: "/",
    };
    progressBar("work", world).update({ done: 3, total: 3 });
    expect(world.drawn()).toBe("");
    const failing = withProgress("work", world, (update) => {
      update({ done: 1, total: 3 });
      throw new Error("halfway");
    });
    await expect(failing).rejects.toThrow("halfway");
    expect(world.drawn()).toContain("work ");
    expect(world.drawn()).toContain("\u001b[?25h");
  });
});
