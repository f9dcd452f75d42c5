/** hooklens: see and change every activation and every gradient inside a transformer. */

export type { DeviceName, DType } from "./engine/engine.ts";
export * from "./engine/errors.ts";
export * from "./tensor/index.ts";
