/** Reading a model from wherever it is. Internal. */

import { engine } from "../engine/current.ts";
import type { EngineModel, LoadRequest } from "../engine/engine.ts";
import type { LoadOptions } from "./load-options.ts";
import { loadModel } from "./loading.ts";
import type { Found } from "./sources/choose-source.ts";
import { uploadModel } from "./uploading.ts";

/** Has the engine read a folder by itself where it can, and brings it the files elsewhere. */
export function readModel(
  { folder, source }: Found,
  request: LoadRequest,
  options: LoadOptions = {},
): Promise<EngineModel> {
  const readsFolders = engine().name === "node";
  return folder !== null && readsFolders
    ? loadModel(folder, request, options)
    : uploadModel(source, request, options);
}
