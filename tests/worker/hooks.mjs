// What a page would give its worker: hooks as functions, and functions that compute there.

/** Silences a head, or the one that the argument names. */
export default function silence(z, _hook, { argument }) {
  return z.at({ head: argument?.head ?? 0 }).fill(0);
}

/** Adds what the page or the worker made. */
export function plus(value, _hook, { argument }) {
  return value.add(argument.by);
}

/** Uses the library that it is given. */
export function replaced(value, _hook, { hooklens }) {
  return hooklens.zeros(value.shape);
}

export function throwing() {
  throw new RangeError("thrown in the worker");
}

/** The end of the whole thread, in the middle of a forward. */
export function dying() {
  process.exit(3);
}

/** What collects garbage: a browser was started with it, Node is asked for it. */
async function collector() {
  if (globalThis.gc) return globalThis.gc;
  const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([import("node:v8"), import("node:vm")]);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}

/** Collects the garbage of the worker's thread. */
export async function collect() {
  const gc = await collector();
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const answer = 42;

/** Something that only the library in the worker can compute. */
export function norms({ argument, hooklens }) {
  return hooklens.tidy(() => argument.x.square().sum("d_model").sqrt());
}

export async function later({ argument }) {
  await new Promise((resolve) => setTimeout(resolve, 5));
  return { sum: argument.reduce((a, b) => a + b, 0), list: [1, 2] };
}

/** What it was given. */
export function given({ argument }) {
  return argument;
}
