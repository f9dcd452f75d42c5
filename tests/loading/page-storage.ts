/** What a page offers for keeping files, in memory: as much of it as browsers are asked for. */

type Tree = Map<string, Uint8Array | Tree>;

/** How full the storage may be. */
export interface Quota {
  bytes: number;
}

function notFound(): Error {
  return new DOMException("there is no such entry", "NotFoundError");
}

function sizeOf(tree: Tree): number {
  let size = 0;
  for (const entry of tree.values()) size += entry instanceof Map ? sizeOf(entry) : entry.length;
  return size;
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}

/** A `FileSystemDirectoryHandle` of the origin private file system. */
function folderHandle(tree: Tree, root: Tree, quota: Quota): object {
  const child = (name: string, kind: "file" | "directory", create: boolean): Uint8Array | Tree => {
    const found = tree.get(name);
    if (found === undefined) {
      if (!create) throw notFound();
      const made = kind === "file" ? new Uint8Array(0) : new Map();
      tree.set(name, made);
      return made;
    }
    if (found instanceof Map !== (kind === "directory")) {
      throw new DOMException("it is of another kind", "TypeMismatchError");
    }
    return found;
  };
  const fileHandle = (name: string) => ({
    kind: "file",
    getFile: async () => new File([(tree.get(name) as Uint8Array).slice()], name),
    createWritable: async () => {
      const parts: Uint8Array[] = [];
      return {
        write: async (bytes: Uint8Array) => {
          const written = parts.reduce((sum, part) => sum + part.length, 0);
          if (sizeOf(root) + written + bytes.length > quota.bytes) {
            throw new DOMException("the quota is exceeded", "QuotaExceededError");
          }
          parts.push(bytes.slice());
        },
        close: async () => void tree.set(name, joined(parts)),
        abort: async () => void parts.splice(0),
      };
    },
  });
  return {
    kind: "directory",
    getDirectoryHandle: async (name: string, { create = false } = {}) =>
      folderHandle(child(name, "directory", create) as Tree, root, quota),
    getFileHandle: async (name: string, { create = false } = {}) => {
      child(name, "file", create);
      return fileHandle(name);
    },
    removeEntry: async (name: string) => {
      if (!tree.delete(name)) throw notFound();
    },
    async *entries() {
      for (const [name, entry] of [...tree]) {
        yield [name, entry instanceof Map ? folderHandle(entry, root, quota) : fileHandle(name)];
      }
    },
  };
}

/** `navigator.storage` with an origin private file system. */
export function opfs(quota: Quota) {
  const root: Tree = new Map();
  return {
    root,
    used: () => sizeOf(root),
    navigator: {
      storage: {
        getDirectory: async () => folderHandle(root, root, quota),
        estimate: async () => ({ usage: sizeOf(root), quota: quota.bytes }),
      },
    },
    FileSystemFileHandle: class {
      createWritable(): void {}
    },
  };
}

/** `caches`. */
export function cacheStorage(quota: Quota) {
  const entries = new Map<string, { headers: [string, string][]; bytes: Uint8Array<ArrayBuffer> }>();
  const used = () => [...entries.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  const cache = {
    match: async (url: string) => {
      const found = entries.get(url);
      return found && new Response(found.bytes, { headers: found.headers });
    },
    put: async (url: string, response: Response) => {
      const parts: Uint8Array[] = [];
      let size = 0;
      if (response.body !== null) {
        for await (const part of response.body) {
          size += part.length;
          if (used() + size > quota.bytes) {
            throw new DOMException("the quota is exceeded", "QuotaExceededError");
          }
          parts.push(part);
        }
      }
      entries.set(url, { headers: [...response.headers], bytes: joined(parts) });
    },
    delete: async (url: string) => entries.delete(url),
    keys: async () => [...entries.keys()].map((url) => ({ url })),
  };
  return {
    entries,
    used,
    caches: { open: async () => cache },
    navigator: { storage: { estimate: async () => ({ usage: used(), quota: quota.bytes }) } },
  };
}
