/** From what was dropped or chosen to a model's files. */

import { type Local, type LocalFile, localName, type ModelChoice } from "./model-choice.ts";

/** How many files are looked at: a folder of everything is no model. */
const MOST_FILES = 2000;

interface Picker {
  showDirectoryPicker?(): Promise<FileSystemDirectoryHandle>;
}

interface HandleItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

/** Whether the browser can open a folder, rather than hand over copies of what is in it. */
export function canOpenFolders(): boolean {
  return "showDirectoryPicker" in globalThis;
}

/** Lets the user open a folder; null if they changed their mind. */
export async function openFolder(): Promise<ModelChoice | null> {
  try {
    const handle = await (globalThis as Picker).showDirectoryPicker?.();
    return handle === undefined ? null : choice(handle.name, { handle });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return null;
    throw error;
  }
}

function choice(name: string, local: Local): ModelChoice {
  return { model: localName(name), half: false, local };
}

/** Files that an input gave. */
export function chosenFiles(files: readonly File[]): ModelChoice {
  const all = files.map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  const [folder = ""] = all[0]?.path.split("/").slice(0, -1) ?? [];
  return choice(folder, { files: all });
}

async function readAll(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return all;
    all.push(...some);
  }
}

async function filesBelow(entry: FileSystemEntry, found: LocalFile[]): Promise<void> {
  if (found.length >= MOST_FILES)
    throw new Error(`There are more than ${MOST_FILES} files in what was dropped.`);
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    found.push({ path, file });
  } else {
    const entries = await readAll((entry as FileSystemDirectoryEntry).createReader());
    for (const inner of entries) await filesBelow(inner, found);
  }
}

/** What was dropped; null if there are no files in it. */
export async function droppedFiles({ items, files }: DataTransfer): Promise<ModelChoice | null> {
  // Browsers empty the list once their event is over: everything is asked for before anything is waited for.
  const dropped = [...items].filter(({ kind }) => kind === "file");
  const entries = dropped.map((item) => item.webkitGetAsEntry());
  const handles = dropped.map((item) => (item as HandleItem).getAsFileSystemHandle?.());
  const plain = [...files];
  if (dropped.length === 0) return null;
  const [handle] = dropped.length === 1 ? await Promise.all(handles) : [];
  if (handle?.kind === "directory") {
    return choice(handle.name, { handle: handle as FileSystemDirectoryHandle });
  }
  const found: LocalFile[] = [];
  for (const entry of entries) if (entry !== null) await filesBelow(entry, found);
  if (found.length === 0) return chosenFiles(plain);
  return choice(found[0]?.path.split("/").slice(0, -1)[0] ?? "", { files: found });
}
