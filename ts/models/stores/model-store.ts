/**
 * Files of models that are kept between visits. Each file is two things in a drawer: its bytes, and after these a note that
 * says what they are. Bytes without a note do not count, so nothing that broke off is ever read. Internal.
 */

import { warn } from "../../hooks/logger.ts";
import type { Version } from "../sources/http.ts";
import { type Connector, type Sink, StreamFile } from "../sources/stream-file.ts";
import type { Drawer, DrawerWriter, KeptBytes } from "./drawer.ts";

/** What a note says. */
export interface Note {
  /** The model's folder on the server. */
  readonly source: string;
  /** The file's path in it. */
  readonly path: string;
  /** Its bytes; null: the server has no such file. */
  readonly size: number | null;
  readonly version: Version;
  /** Milliseconds since 1970. */
  readonly storedAt: number;
}

const NO_VERSION: Version = { etag: null, modified: null, length: null };

/** A name for a text of any characters and length. */
async function digest(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(hash, 0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function textOf(kept: KeptBytes): Promise<string> {
  const { stream } = await kept.connect(0);
  return new Response(stream).text();
}

function isNote(value: unknown): value is Note {
  if (typeof value !== "object" || value === null) return false;
  const note = value as Partial<Note>;
  const { size, version } = note;
  return (
    typeof note.source === "string" &&
    typeof note.path === "string" &&
    (size === null || (typeof size === "number" && size >= 0)) &&
    typeof version === "object" &&
    version !== null &&
    typeof note.storedAt === "number"
  );
}

function problem(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** What a browser says of its storage, for a message. */
export type Estimate = () => Promise<{ readonly usage?: number; readonly quota?: number }>;

/** Files of models in a drawer. */
export class ModelStore {
  readonly #drawer: Drawer;
  readonly #estimate: Estimate | null;
  /** Whether it was said that something cannot be kept. */
  #warned = false;

  constructor(drawer: Drawer, estimate: Estimate | null) {
    this.#drawer = drawer;
    this.#estimate = estimate;
  }

  get kind(): Drawer["kind"] {
    return this.#drawer.kind;
  }

  /** The file, whole as it was written; null if it is not kept. */
  async find(source: string, path: string): Promise<{ note: Note; open(): StreamFile } | null> {
    const name = await nameOf(source, path);
    const note = await this.#note(`${name}.json`);
    if (note === null || note.source !== source || note.path !== path) return null;
    if (note.size === null) return { note, open: () => new StreamFile(NOWHERE, null, 0) };
    const kept = await this.#drawer.find(`${name}.bin`);
    if (kept === null || (kept.size !== null && kept.size !== note.size)) return null;
    const { size } = note;
    const connector: Connector = {
      location: `${new URL(path, source).href} (stored)`,
      seekable: kept.size !== null,
      connect: async (from) => ({ ...(await kept.connect(from)), until: null, size }),
      again: async (error) => {
        if (error === null) return false;
        throw error;
      },
    };
    return { note, open: () => new StreamFile(connector, null, size) };
  }

  /** Notes that the server has no such file. */
  async noteAbsent(source: string, path: string): Promise<void> {
    const note: Note = { source, path, size: null, version: NO_VERSION, storedAt: Date.now() };
    try {
      await this.#write(`${await nameOf(source, path)}.json`, note);
    } catch (error) {
      await this.#say(path, 0, error);
    }
  }

  /** Begins to keep a file; null if that is known to be impossible. */
  async keep(source: string, path: string, version: Version, size: number | null): Promise<Sink | null> {
    try {
      if (size !== null && (await this.#isTooLarge(size))) {
        await this.#say(path, size, null);
        return null;
      }
      const name = await nameOf(source, path);
      await this.#drawer.remove(`${name}.json`);
      return this.#sink({ source, path, version }, name, await this.#drawer.write(`${name}.bin`));
    } catch (error) {
      await this.#say(path, size, error);
      return null;
    }
  }

  #sink(of: Pick<Note, "source" | "path" | "version">, name: string, writer: DrawerWriter): Sink {
    let written = 0;
    let isOpen = true;
    const abandon = async () => {
      if (!isOpen) return;
      isOpen = false;
      await writer.abort().catch(() => undefined);
      await this.#drawer.remove(`${name}.bin`).catch(() => undefined);
    };
    const attempt = async (work: () => Promise<void>) => {
      if (!isOpen) return;
      try {
        await work();
      } catch (error) {
        await this.#say(of.path, written, error);
        await abandon();
      }
    };
    return {
      write: (bytes) =>
        attempt(async () => {
          written += bytes.length;
          await writer.write(bytes);
        }),
      close: (size) =>
        attempt(async () => {
          if (size !== written) throw new Error(`${written} of ${size} bytes were written`);
          await writer.close();
          await this.#write(`${name}.json`, { ...of, size, storedAt: Date.now() });
          isOpen = false;
        }),
      abandon,
    };
  }

  /** The notes of all files. */
  async notes(): Promise<Note[]> {
    const names = await this.#drawer.names();
    const notes = await Promise.all(
      names.filter((name) => name.endsWith(".json")).map((name) => this.#note(name)),
    );
    return notes.filter((note) => note !== null);
  }

  /** Removes what is kept of a model; gives whether there was anything. */
  async remove(source: string): Promise<boolean> {
    const folder = `${await digest(source)}/`;
    const names = (await this.#drawer.names()).filter((name) => name.startsWith(folder));
    // Notes first: what is left if this breaks off does not count.
    names.sort((a, b) => Number(b.endsWith(".json")) - Number(a.endsWith(".json")));
    for (const name of names) await this.#drawer.remove(name);
    return names.length > 0;
  }

  async #note(name: string): Promise<Note | null> {
    const kept = await this.#drawer.find(name);
    if (kept === null) return null;
    try {
      const note: unknown = JSON.parse(await textOf(kept));
      return isNote(note) ? note : null;
    } catch {
      // A note that cannot be read is none: the file is fetched again.
      return null;
    }
  }

  async #write(name: string, note: Note): Promise<void> {
    const writer = await this.#drawer.write(name);
    await writer.write(new TextEncoder().encode(JSON.stringify(note)));
    await writer.close();
  }

  async #isTooLarge(size: number): Promise<boolean> {
    const { usage, quota } = (await this.#estimate?.()) ?? {};
    return usage !== undefined && quota !== undefined && usage + size > quota;
  }

  /** Says once what cannot be kept; loading goes on. */
  async #say(path: string, size: number | null, error: unknown): Promise<void> {
    if (this.#warned) return;
    this.#warned = true;
    const { usage, quota } = (await this.#estimate?.().catch(() => undefined)) ?? {};
    const room =
      quota === undefined
        ? ""
        : `; the browser says that this site may keep ${quota} bytes and keeps ${usage}`;
    const bytes = size === null || size === 0 ? "" : ` (${size} bytes)`;
    const why = error === null ? "there is no room" : problem(error);
    warn(
      `'${path}'${bytes} cannot be stored for the next visit: ${why}${room}. The model is loaded nonetheless; deleteStoredModel makes room`,
    );
  }
}

/** What a file that is noted as absent reads: nothing ever asks. */
const NOWHERE: Connector = {
  location: "",
  seekable: true,
  connect: async () => null,
  again: async () => false,
};

async function nameOf(source: string, path: string): Promise<string> {
  return `${await digest(source)}/${await digest(path)}`;
}
