import type { DeviceName } from "../../ts/engine/engine.ts";

/** Where tests put their tensors: `HOOKLENS_TEST_DEVICE`, by default the CPU. */
export const TEST_DEVICE: DeviceName = (process.env["HOOKLENS_TEST_DEVICE"] ?? "cpu") as DeviceName;
