#!/usr/bin/env node
import process from "node:process";
import { run } from "./program.ts";

// `hooklens … | head` closes our output early; that is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    if (stream === process.stdout) {
      process.stderr.write(`error: the output cannot be written: ${error.message} (${error.code})\n`);
    }
    process.exit(1);
  });
}

process.exitCode = await run(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  isTTY: process.stdout.isTTY === true,
  columns: process.stdout.columns,
  env: process.env,
  cwd: process.cwd(),
  progress: process.stderr.isTTY === true && process.env["TERM"] !== "dumb" ? process.stderr : undefined,
});
