/** A process that is asked a line at a time, and answers each with one. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export interface Asked {
  /** What it said when it was ready. */
  readonly greeting: string;
  ask(line: string): Promise<string>;
  /** Lets it end. */
  end(): void;
}

/** Starts it; `undefined`, after saying why, where it ends before it has said anything. */
export async function startAsked(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Asked | undefined> {
  const child = spawn(command, args, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  child.on("error", (error) => console.error(`${command}: ${error.message}`));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done === true) {
    console.error(`${command} ended before it began`);
    return undefined;
  }
  return {
    greeting: first.value,
    async ask(line) {
      child.stdin.write(`${line}\n`);
      const answer = await lines.next();
      if (answer.done === true) throw new Error(`${command} ended when it was asked for ${line}`);
      return answer.value;
    },
    end: () => child.stdin.end(),
  };
}
