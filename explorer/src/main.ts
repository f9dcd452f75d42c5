/** The explorer page. */

import "./style.css";
import { Explorer } from "./explorer.ts";
import { EditPanel } from "./parts/edit-panel.ts";
import { HeadGrid } from "./parts/head-grid.ts";
import { LargePattern } from "./parts/large-pattern.ts";
import { LensTable } from "./parts/lens-table.ts";
import { LoadProgress } from "./parts/load-progress.ts";
import { ModelChooser } from "./parts/model-chooser.ts";
import { NextTokens } from "./parts/next-tokens.ts";
import { NormChart } from "./parts/norm-chart.ts";
import { TokenStrip } from "./parts/token-strip.ts";

customElements.define("hl-token-strip", TokenStrip);
customElements.define("hl-next-tokens", NextTokens);
customElements.define("hl-head-grid", HeadGrid);
customElements.define("hl-large-pattern", LargePattern);
customElements.define("hl-lens-table", LensTable);
customElements.define("hl-norm-chart", NormChart);
customElements.define("hl-edit-panel", EditPanel);
customElements.define("hl-model-chooser", ModelChooser);
customElements.define("hl-load-progress", LoadProgress);
customElements.define("hl-explorer", Explorer);

// Without a service worker the page works as well, but not without a network.
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  navigator.serviceWorker.register("./offline.js").catch(() => undefined);
}
