/** Where reports are written. */

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { hooklensError } from "../engine/errors.ts";
import { messageOf } from "../engine/message.ts";

/** The name of a report that nobody named. */
export const REPORT_NAME = "hooklens-report.html";

/**
 * Writes a report and gives its path. One that nobody named goes into the working directory, or where that cannot be
 * written to, into a new folder for temporary files.
 *
 * @throws `invalid_argument` if a file that was asked for cannot be written.
 */
export function writeReport(text: string, file: string | undefined, cwd: string): string {
  const path = resolve(cwd, file ?? REPORT_NAME);
  try {
    writeFileSync(path, text);
    return path;
  } catch (error) {
    if (file !== undefined) {
      const why = messageOf(error);
      throw hooklensError("invalid_argument", `the report cannot be written to '${file}': ${why}`, { path });
    }
  }
  const elsewhere = join(mkdtempSync(join(tmpdir(), "hooklens-")), REPORT_NAME);
  writeFileSync(elsewhere, text);
  return elsewhere;
}
