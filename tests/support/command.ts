// Running the command line inside the tests' process.
import { run } from "../../ts/cli/program.ts";

type Terminal = Parameters<typeof run>[1];

/** Runs a command; gives its exit code and what it wrote. */
export async function runCommand(
  args: readonly string[],
  terminal: Omit<Terminal, "out" | "err">,
): Promise<{ code: number; out: string; err: string }> {
  const written = { out: "", err: "" };
  const code = await run([...args], {
    out: (text) => {
      written.out += text;
    },
    err: (text) => {
      written.err += text;
    },
    ...terminal,
  });
  return { code, ...written };
}
