/** Where models run: off the page's thread, so that it stays alive. */

import { createBirpc } from "birpc";
import {
  deleteStoredModel,
  HooklensError,
  type LoadProgress,
  type ModelLocation,
  storedModels,
} from "hooklens";
import type { Experiment } from "./experiment.ts";
import { type Findings, Laboratory, type ModelFacts } from "./laboratory.ts";
import type { Local, ModelChoice } from "./model-choice.ts";

/** What came of a call: errors travel as texts, with the code of those that have one. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string; readonly code: string };

/** A model that is kept on this device. */
export interface Kept {
  /** Its address. */
  readonly source: string;
  readonly bytes: number;
}

/** What the page can ask for. */
export interface Service {
  /** Loads a model; the page is told of bytes of weights meanwhile. */
  load(choice: ModelChoice): Promise<Outcome<ModelFacts>>;
  /** Runs an experiment on the model that was loaded last. */
  run(experiment: Experiment): Promise<Outcome<Findings>>;
  /** The models whose files are kept between visits. */
  kept(): Promise<Outcome<readonly Kept[]>>;
  /** Deletes what is kept of a model. */
  forget(source: string): Promise<Outcome<boolean>>;
}

/** What the page is told. */
export interface Listener {
  progress(progress: LoadProgress): void;
  /**
   * The worker hears from now on: what was said while its engine started may be lost. It has `lock` as long as it lives;
   * null where there are no locks.
   */
  ready(lock: string | null): void;
}

async function outcome<T>(run: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await run() };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, message, code: error instanceof HooklensError ? error.code : "" };
  }
}

/** Files as the library takes them; those of a drop do not know their paths by themselves. */
function locationOf(local: Local): ModelLocation {
  if ("handle" in local) return local.handle;
  return local.files.map(({ path, file }) => ({
    name: file.name,
    webkitRelativePath: path,
    size: file.size,
    slice: (start: number, end?: number) => file.slice(start, end),
  }));
}

const laboratory = new Laboratory();

const service: Service = {
  load: ({ model, half, local }) =>
    outcome(() =>
      laboratory.load(model, local === undefined ? model : locationOf(local), {
        dtype: half ? "float16" : "float32",
        onProgress: (progress) => void page.progress.asEvent({ ...progress }),
      }),
    ),
  run: (experiment) => outcome(() => laboratory.run(experiment)),
  kept: () => outcome(async () => (await storedModels()).map(({ source, bytes }) => ({ source, bytes }))),
  forget: (source) => outcome(() => deleteStoredModel(source)),
};

const page = createBirpc<Listener, Service>(service, {
  post: (data) => self.postMessage(data),
  on: (take) => self.addEventListener("message", ({ data }) => take(data)),
  timeout: -1,
});

/** Takes a lock that is given back when this worker ends, whatever ends it: browsers tell pages in no other way. */
async function heldLock(): Promise<string | null> {
  const { locks } = navigator as { readonly locks?: LockManager };
  if (locks === undefined) return null;
  const name = `hooklens-explorer-${crypto.randomUUID()}`;
  await new Promise<void>((held) => {
    void locks.request(name, () => {
      held();
      return new Promise<never>(() => undefined);
    });
  });
  return name;
}

void heldLock().then((lock) => page.ready.asEvent(lock));
