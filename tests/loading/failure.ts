import { expect } from "vitest";
import { HooklensError } from "../../ts/index.ts";

/** The error that a load ends with. */
export async function failure(loading: Promise<unknown>): Promise<HooklensError> {
  const error: unknown = await loading.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(HooklensError);
  return error as HooklensError;
}
