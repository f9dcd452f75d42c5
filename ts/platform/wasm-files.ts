/** Files for an engine that has no file system of its own: Node reads and writes them, the engine knows their form. */

import { chmodSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { Engine } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The bytes of a file. Only a regular one is opened: a pipe would wait for its other end. */
function bytesOf(path: string): Uint8Array {
  let isFile: boolean;
  try {
    isFile = statSync(path).isFile();
  } catch (error) {
    throw hooklensError("missing_file", `${path}: ${messageOf(error)}`, { path, detail: messageOf(error) });
  }
  if (!isFile) throw hooklensError("invalid_file", `${path}: is not a regular file`, { path });
  try {
    return readFileSync(path);
  } catch (error) {
    throw hooklensError("missing_file", `${path}: ${messageOf(error)}`, { path, detail: messageOf(error) });
  }
}

/** Puts a file in the place of another in one step. */
function replaceFile(path: string, bytes: Uint8Array): void {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(beside, bytes, { flag: "wx" });
    chmodSync(beside, 0o644);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw hooklensError("invalid_file", `${path}: ${messageOf(error)}`, { path, detail: messageOf(error) });
  }
}

function isText(path: unknown): boolean {
  return typeof path === "string";
}

/** The engine, with this machine's files. */
export function withFiles(engine: Engine): Engine {
  return {
    ...engine,
    // The engine says what is wrong with what is no path.
    readTensors: (path) =>
      isText(path) ? engine.decodeTensors(path, bytesOf(path)) : engine.readTensors(path),
    writeTensors: (path, tensors, metadata) =>
      isText(path)
        ? replaceFile(path, engine.encodeTensors(tensors, metadata))
        : engine.writeTensors(path, tensors, metadata),
  };
}
