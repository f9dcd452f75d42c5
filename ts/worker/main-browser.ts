/** What a worker of a page runs. */

import * as library from "../lazy.ts";
import { serve } from "./host.ts";

/** What there is in a worker, as far as this needs it. */
interface Scope {
  readonly navigator: {
    readonly locks?: { request(name: string, held: () => Promise<void>): Promise<void> };
  };
  postMessage(message: unknown, transfer: readonly ArrayBuffer[]): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  close(): void;
}

const scope = globalThis as unknown as Scope;

/** Takes a lock that is given back when this worker ends, whatever ends it. */
async function alive(): Promise<string | null> {
  const { locks } = scope.navigator;
  if (locks === undefined) return null;
  const name = `hooklens-${crypto.randomUUID()}`;
  await new Promise<void>((held, refused) => {
    locks
      .request(name, () => {
        held();
        return new Promise<void>(() => undefined);
      })
      .catch(refused);
  });
  return name;
}

serve(
  {
    post: (message, transfer) => scope.postMessage(message, transfer),
    listen: (receive) => scope.addEventListener("message", ({ data }) => receive(data)),
  },
  { library, load: (address) => import(/* @vite-ignore */ address), alive, end: () => scope.close() },
);
