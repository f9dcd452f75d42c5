/** What pages of this bench share: where their files are, and how they are asked. */

import type { Subject } from "../workloads.ts";

interface Page {
  readonly location: { readonly href: string };
  /** What the bench waits for and asks. */
  subject?: Promise<Subject>;
}

const page = globalThis as unknown as Page;

/** The address of a file that the bench serves, with the same headers as the page. */
export function served(path: string): string {
  return new URL(`../${path}`, page.location.href).href;
}

/** A number of the page's address. */
export function parameter(name: string): string {
  return new URL(page.location.href).searchParams.get(name) ?? "";
}

/** Makes this page answer for `subject`. */
export function offer(subject: Promise<Subject>): void {
  // Until the bench asks nobody hears of an error.
  subject.catch(() => undefined);
  page.subject = subject;
}

/** Milliseconds that something takes whose result comes later. */
export async function timedAsync(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}
