// Before each test file in a page: the engine as WebAssembly, as in a program that imports the package there.
import "../../ts/platform/start-browser.ts";
import { initEngine } from "../../ts/engine/current.ts";

await initEngine();
