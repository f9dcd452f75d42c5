/** hooklens in a page. */

import { HookedTransformer, initEngine, randn, tidy } from "../../../ts/browser.ts";
import { hooklens, type Subject } from "../workloads.ts";
import { offer, served } from "./measured.ts";

async function start(): Promise<Subject> {
  const engine = await initEngine();
  const threads = "threads" in engine ? engine.threads : 1;
  const about = `hooklens ${engine.version} (${engine.name}, ${threads} thread(s))`;
  return hooklens({ HookedTransformer, randn, tidy }, about, served("model/"));
}

offer(start());
