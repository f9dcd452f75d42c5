/** What went wrong, of whatever was thrown. Internal. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
