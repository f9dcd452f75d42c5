import { HooklensError } from "../../ts/index.ts";

/** The code of the `HooklensError` that `run` throws; fails the test if it throws none or something else. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof HooklensError) return error.code;
    throw error;
  }
  throw new Error("nothing was thrown");
}
