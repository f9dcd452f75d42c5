import type { RequestListener } from "node:http";

/** What a file is said to be, by its name. */
export function mediaType(path: string): string;
/** A server that answers. */
export interface Listening {
  /** Its address, without a slash at the end. */
  readonly url: string;
  /** Ends it, and what is under way. */
  close(): Promise<void>;
}
/** Answers requests on a free port of this machine. */
export function listen(answer: RequestListener): Promise<Listening>;
