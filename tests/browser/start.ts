// Before each test file in a page: the engine as WebAssembly, as in a program that imports the package there.
import "../../ts/platform/start-browser.ts";
import { initEngine } from "../../ts/engine/current.ts";

// What suites ask of the environment is what the test server lets them know of its own.
const env: unknown = await (await fetch("/__files/env")).json();
Object.assign(globalThis, { process: { env } });

await initEngine();
