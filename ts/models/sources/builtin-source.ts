/** The files of a model that comes with the package, where they are assets of a page. Internal. */

import type { HttpOptions } from "./http.ts";
import type { ModelSource, Reading } from "./source.ts";
import type { StreamFile } from "./stream-file.ts";
import { openUrl } from "./url-source.ts";

/** Assets, whose addresses bundlers choose: nothing else is asked for. */
export class BuiltinSource implements ModelSource {
  readonly name: string;
  readonly #assets: ReadonlyMap<string, URL>;
  readonly #options: HttpOptions;

  constructor(name: string, assets: ReadonlyMap<string, URL>, options: HttpOptions) {
    this.name = name;
    this.#assets = assets;
    this.#options = options;
  }

  locate(path: string): string {
    return this.#assets.get(path)?.href ?? `${this.name}/${path}`;
  }

  async open(path: string, _: Reading): Promise<StreamFile | null> {
    const url = this.#assets.get(path);
    // They are small, and servers of pages may serve no ranges.
    return url === undefined ? null : openUrl(url.href, "whole", this.#options);
  }
}
