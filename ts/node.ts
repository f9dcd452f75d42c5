/** What `import … from "hooklens"` is in Node: everything, with the native engine, started when it is first needed. */

import "./platform/start-node.ts";
import "./notebooks/install.ts";

export * from "./index.ts";
