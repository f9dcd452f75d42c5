/** How tensors show themselves in notebooks. */

import { noGrad } from "../tensor/gradients.ts";
import { tidy } from "../tensor/memory.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { rememberTokens, tokensAlong } from "../tensor/token-texts.ts";
import { attentionPatterns } from "../viz/attention.ts";
import { heatmap } from "../viz/heatmap.ts";
import { html } from "../viz/html.ts";
import { type MediaBundle, Picture } from "../viz/picture.ts";

/** Rows and columns of a heat map; what is beyond is left out. */
const mostShown = 24;
/** Numbers of attention that are drawn. */
const mostShares = 400_000;

/** `float32 [batch 1, pos 14, d_model 128], cpu` */
function heading(tensor: Tensor): string {
  const shape = tensor.shape.map((size, i) =>
    tensor.axes[i] === undefined ? `${size}` : `${tensor.axes[i]} ${size}`,
  );
  const gradient = tensor.requiresGrad ? ", requires a gradient" : "";
  return `Tensor ${tensor.dtype} [${shape.join(", ")}], ${tensor.device}${gradient}`;
}

/** The attention viewer, if these are shares of attention of a size that can be drawn. */
function patternPicture(tensor: Tensor, title: string): Picture | null {
  const { axes, shape } = tensor;
  if (axes.at(-2) !== "query" || axes.at(-1) !== "key" || shape.length > 4) return null;
  const side = shape.at(-1) ?? 0;
  const perRow = shape.slice(shape.length === 4 ? 1 : 0).reduce((product, n) => product * n, 1);
  if (side === 0 || side !== shape.at(-2) || perRow === 0 || perRow > mostShares || shape[0] === 0)
    return null;
  const heads =
    shape.length === 4
      ? tensor.narrow(0, 0, 1).squeeze(0)
      : shape.length === 2
        ? tensor.unsqueeze(0)
        : tensor;
  const outside = heads.toFloat32Array().some((share) => !(share >= 0 && share <= 1.001));
  if (outside) return null;
  const known = tokensAlong(tensor)?.();
  const tokens =
    known?.length === side ? known : Array.from({ length: side }, (_, position) => String(position));
  const row = shape.length === 4 && (shape[0] ?? 1) > 1 ? `, row 0 of ${shape[0]}` : "";
  return attentionPatterns(tokens, heads, { title: title + row });
}

/** The first rows and columns of the last two axes as a heat map. */
function heatPicture(tensor: Tensor, title: string): Picture | null {
  if (tensor.size === 0 || tensor.rank === 0) return null;
  let matrix: Tensor = tensor;
  while (matrix.rank > 2) matrix = matrix.narrow(0, 0, 1).squeeze(0);
  if (matrix.rank === 1) matrix = matrix.unsqueeze(0);
  const [height = 0, width = 0] = matrix.shape;
  const shown = matrix.narrow(0, 0, Math.min(height, mostShown)).narrow(1, 0, Math.min(width, mostShown));
  const rest = tensor.rank > 2 ? ["the first of the other axes"] : [];
  if (height > mostShown) rest.push(`${mostShown} of ${height} rows`);
  if (width > mostShown) rest.push(`${mostShown} of ${width} columns`);
  return heatmap(shown, { title: rest.length === 0 ? title : `${title}: ${rest.join(", ")}` });
}

/** What a notebook shows of a tensor. Internal. */
export function tensorBundle(tensor: Tensor): MediaBundle {
  const text = tensor.toString();
  if (tensor.isDisposed) return { "text/plain": text, "text/html": html`<pre>${text}</pre>`.text };
  return tidy(() =>
    noGrad(() => {
      const title = heading(tensor);
      const plain = tensor.detach();
      const named = tensor.axes.length === 0 ? plain : plain.named(...tensor.axes);
      const known = tokensAlong(tensor);
      if (known !== undefined) rememberTokens(named, known);
      const picture = patternPicture(named, title) ?? heatPicture(named, title);
      const body = picture?.body ?? html`<pre>${text}</pre>`;
      return {
        "text/plain": text,
        "text/html": new Picture(
          title,
          html`<p class="how">${picture?.title ?? title}</p>${body}`,
        ).toString(),
      };
    }),
  );
}
