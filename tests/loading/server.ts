/** A server of fixture folders, as good or bad as a test wants it. */

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

export const GOLDEN = fileURLToPath(new URL("../fixtures/golden/", import.meta.url));
export const MODELS = fileURLToPath(new URL("../../models/", import.meta.url));

/** One request, as the server saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly range: string | null;
}

export interface Behaviour {
  /** Whether it answers requests for ranges. */
  readonly ranges?: boolean;
  /** Whether it says how long files are. */
  readonly lengths?: boolean;
  /** Whether it says which version of a file it has. */
  readonly etags?: boolean;
  /** Whether pages of other sites may read its files. */
  readonly cors?: boolean;
  /** Answers a request by itself; true if it did. */
  readonly instead?: (request: Seen, response: ServerResponse, nth: number) => boolean;
  /** Where files of a path are, in place of the fixtures. */
  readonly root?: string;
}

export interface Server {
  /** The address of a folder of the root's. */
  url(folder: string): string;
  readonly seen: Seen[];
  /** Weights that were sent, in bytes. */
  readonly sent: { bytes: number };
  [Symbol.asyncDispose](): Promise<void>;
}

/** What lets pages of other sites read files, and see what else is said about them. */
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "*",
  "access-control-expose-headers": "content-length, content-range, etag",
};

function range(text: string | null, size: number): { start: number; end: number } | null {
  const found = /^bytes=(\d+)-(\d*)$/.exec(text ?? "");
  if (found === null) return null;
  const [, start, end] = found;
  return { start: Number(start), end: end === "" ? size - 1 : Math.min(Number(end), size - 1) };
}

export async function serve(behaviour: Behaviour = {}): Promise<Server> {
  const { ranges = true, lengths = true, etags = true, cors = true, instead, root = GOLDEN } = behaviour;
  const seen: Seen[] = [];
  const sent = { bytes: 0 };
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname);
    const one = { method: request.method ?? "", path, range: request.headers.range ?? null };
    const nth = seen.filter((other) => other.path === path && other.method === one.method).length;
    seen.push(one);
    if (cors) for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
    if (one.method === "OPTIONS") {
      response.writeHead(204).end();
      return;
    }
    if (instead?.(one, response, nth)) return;
    const file = join(root, normalize(path));
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end("no such file");
      return;
    }
    const { size, mtimeMs } = statSync(file);
    const part = ranges ? range(one.range, size) : null;
    const headers: Record<string, string> = { "content-type": "application/octet-stream" };
    if (etags) headers["etag"] = `"${size}-${mtimeMs}"`;
    if (part !== null && part.start >= size) {
      response.writeHead(416, { "content-range": `bytes */${size}` }).end();
      return;
    }
    const { start, end } = part ?? { start: 0, end: size - 1 };
    if (part !== null) headers["content-range"] = `bytes ${start}-${end}/${size}`;
    if (lengths) headers["content-length"] = String(size === 0 ? 0 : end - start + 1);
    response.writeHead(part === null ? 200 : 206, headers);
    if (one.method === "HEAD" || size === 0) {
      response.end();
      return;
    }
    const stream = createReadStream(file, { start, end });
    if (file.endsWith(".safetensors")) stream.on("data", (piece) => (sent.bytes += piece.length));
    stream.pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: (folder) => `http://127.0.0.1:${port}/${folder}`,
    seen,
    sent,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
