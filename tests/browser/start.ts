// Before each test file in a page: the engine as WebAssembly, as in a program that imports the package there.
import "../../ts/platform/start-browser.ts";
import { initEngine } from "../../ts/engine/current.ts";

// What suites ask of the environment they ask in vain.
Object.assign(globalThis, { process: { env: {} } });

await initEngine();
