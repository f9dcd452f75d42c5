// Reading as the suites do it in Node: the test server has the files. Nothing can be written.

interface SyncRequest {
  readonly status: number;
  readonly responseText: string;
  open(method: "GET", address: string, async: false): void;
  overrideMimeType(type: string): void;
  send(): void;
}

declare const XMLHttpRequest: new () => SyncRequest;

/** What the server answers; null if there is no such file. Synchronous, as the functions that this stands for. */
function ask(what: "read" | "list" | "stat", path: string | URL): Uint8Array | null {
  const request = new XMLHttpRequest();
  request.open("GET", `/__files/${what}?path=${encodeURIComponent(String(path))}`, false);
  // Bytes as characters: synchronous requests may not ask for a buffer.
  request.overrideMimeType("text/plain; charset=x-user-defined");
  request.send();
  if (request.status === 404) return null;
  if (request.status !== 200) throw new Error(`${what} ${path}: ${request.status}`);
  return Uint8Array.from(request.responseText, (character: string) => character.charCodeAt(0) & 0xff);
}

function missing(path: string | URL): Error {
  return Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: "ENOENT" });
}

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

export function existsSync(path: string | URL): boolean {
  return ask("stat", path) !== null;
}

export function readFileSync(path: string | URL, encoding?: string): string | Uint8Array {
  const bytes = ask("read", path);
  if (bytes === null) throw missing(path);
  return encoding === undefined ? bytes : textOf(bytes);
}

export function readdirSync(path: string | URL): string[] {
  const listed = ask("list", path);
  if (listed === null) throw missing(path);
  return JSON.parse(textOf(listed));
}

export function statSync(path: string | URL): { isDirectory(): boolean; isFile(): boolean; size: number } {
  const found = ask("stat", path);
  if (found === null) throw missing(path);
  const { directory, size } = JSON.parse(textOf(found)) as { directory: boolean; size: number };
  return { isDirectory: () => directory, isFile: () => !directory, size };
}
