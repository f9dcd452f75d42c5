/**
 * What `import … from "hooklens"` is in a page: everything, with the engine as WebAssembly, which runs when the import is
 * done. If it cannot run the import succeeds nonetheless, so that the page can say so: the first use throws why, and
 * `initEngine` tries again.
 */

import "./platform/start-browser.ts";
import { initEngine } from "./engine/current.ts";

await initEngine().catch(() => undefined);

export * from "./index.ts";
