/** The places where a browser keeps bytes between visits, as far as files of models need them. Internal. */

import type { Connection } from "../sources/stream-file.ts";

/** Bytes under names of letters, digits, `.` and `/`, of which the last is of a file. */
export interface Drawer {
  /** Which place this is. */
  readonly kind: "opfs" | "cache-storage";
  /** What was kept; null if nothing was. */
  find(name: string): Promise<KeptBytes | null>;
  /** Begins to keep something, in place of what was there. Nothing is there until {@link DrawerWriter.close}. */
  write(name: string): Promise<DrawerWriter>;
  /** Forgets it; does nothing if it is not there. */
  remove(name: string): Promise<void>;
  /** The names of everything. */
  names(): Promise<string[]>;
}

/** What was kept. */
export interface KeptBytes {
  /** How many, if that is known without reading. */
  readonly size: number | null;
  /** A stream that begins at `from`, or at the beginning. */
  connect(from: number): Promise<Pick<Connection, "stream" | "at">>;
}

/** Takes bytes in order. */
export interface DrawerWriter {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}
