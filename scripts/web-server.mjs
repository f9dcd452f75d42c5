// What small servers of files share, for pages that tests, benches and the packaging check open.
import { createServer } from "node:http";
import { extname } from "node:path";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** What a file is said to be, by its name: browsers run modules and compile WebAssembly only as what they are. */
export function mediaType(path) {
  return TYPES[extname(path)] ?? "application/octet-stream";
}

/** Answers requests on a free port of this machine until it is closed, which ends what is under way. */
export async function listen(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
