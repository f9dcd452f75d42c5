/** How caches show themselves in notebooks. */

import type { ActivationMap } from "../cache/activation-map.ts";
import { bytesOf } from "../tensor/bytes.ts";
import { tidy } from "../tensor/memory.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { html } from "../viz/html.ts";
import { type MediaBundle, Picture } from "../viz/picture.ts";

/** Entries that are listed. */
const mostListed = 1000;

/** What a notebook shows of recorded tensors: their keys, axes, dtypes and bytes. Internal. */
export function cacheBundle(cache: ActivationMap): MediaBundle {
  return tidy(() => bundle(cache.toString(), [...cache.entries()]));
}

function bundle(text: string, entries: readonly (readonly [key: string, tensor: Tensor])[]): MediaBundle {
  const rows = entries.slice(0, mostListed).map(([key, tensor]) => {
    const shape = tensor.shape.map((size, i) =>
      tensor.axes[i] === undefined ? `${size}` : `${tensor.axes[i]} ${size}`,
    );
    const bytes = (tensor.size * bytesOf(tensor.dtype)).toLocaleString("en-US");
    return html`<tr><th scope="row">${key}</th><td>[${shape.join(", ")}]</td><td>${tensor.dtype}</td><td class="num">${bytes}</td></tr>\n`;
  });
  const more =
    entries.length > mostListed ? html`<p class="how">and ${entries.length - mostListed} more</p>` : null;
  const table = html`<p class="how">${text}</p><div class="scroll"><table class="plain" aria-label="Recorded tensors"><thead><tr><th scope="col">key</th><th scope="col">shape</th><th scope="col">dtype</th><th scope="col">bytes</th></tr></thead><tbody>
${rows}</tbody></table></div>${more}`;
  return { "text/plain": text, "text/html": new Picture(text, table).toString() };
}
