import { afterEach } from "vitest";

interface Page {
  addEventListener?(type: string, listener: (event: { readonly reason: unknown }) => void): void;
}

/** Reasons of promises that were rejected without anybody listening, from now to the end of the test. */
export function unhandledRejections(): readonly unknown[] {
  const rejections: unknown[] = [];
  const record = (reason: unknown) => rejections.push(reason);
  if (typeof process.on === "function") {
    process.on("unhandledRejection", record);
    afterEach(() => void process.off("unhandledRejection", record));
  } else {
    (globalThis as Page).addEventListener?.("unhandledrejection", ({ reason }) => record(reason));
  }
  return rejections;
}
