/** Makes a page or a worker run the library: says where it is, and how its engine is fetched and started. */

import { installStarter } from "../engine/current.ts";
import { startWasm, type WasmGlue } from "../engine/wasm.ts";
import { browserPlatform } from "./browser.ts";
import { installPlatform } from "./platform.ts";

// Written out where they are used, because bundlers look for exactly these forms.
const glue = async () => (await import("../../wasm/hooklens.js")) as unknown as WasmGlue;
const beside = () => new URL("../../wasm/hooklens_bg.wasm", import.meta.url);

installPlatform(browserPlatform);
installStarter({ now: null, start: ({ wasm }) => startWasm(glue, wasm ?? beside()) });
