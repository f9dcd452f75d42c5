/**
 * What pages with pictures run: two elements that bring tables and attention viewers to life. The pages are complete
 * without it. `scripts/build-client.mjs` turns this file into `../client-script.ts`, which pages carry with them.
 */

/** Runs `start` once the element has its children, which a page may still be reading. */
function whenRead(element: HTMLElement, start: () => void): void {
  if (document.readyState !== "loading") start();
  else if (element.isConnected) document.addEventListener("DOMContentLoaded", start, { once: true });
}

/** Where a key leads from place `at` of `count` in rows of `width`; null if the key means nothing. */
function placeAfter(event: KeyboardEvent, at: number, count: number, width: number): number | null {
  const column = at % width;
  const last = count - 1;
  const rowEnd = Math.min(last, at - column + width - 1);
  switch (event.key) {
    case "ArrowLeft":
      return column > 0 ? at - 1 : at;
    case "ArrowRight":
      return Math.min(at + 1, rowEnd);
    case "ArrowUp":
      return at - width >= 0 ? at - width : at;
    case "ArrowDown":
      return at + width <= last ? at + width : at;
    case "Home":
      return event.ctrlKey ? 0 : at - column;
    case "End":
      return event.ctrlKey ? last : rowEnd;
    default:
      return null;
  }
}

/** Among things that share one place in the tab order, gives it to `chosen`. */
function rove(all: readonly HTMLElement[], chosen: HTMLElement): void {
  for (const one of all) one.tabIndex = one === chosen ? 0 : -1;
}

function words(element: Element | null | undefined): string {
  return (element?.textContent ?? "").trim().replace(/\s+/g, " ");
}

/** A table whose cells are walked with the arrow keys and described below it. */
class Grid extends HTMLElement {
  cells: HTMLTableCellElement[] = [];
  width = 1;
  /** Says more of a cell than the table knows. */
  about: ((row: number, column: number) => string) | null = null;
  #at = 0;
  #started = false;
  #hot: Element[] = [];

  connectedCallback(): void {
    whenRead(this, () => this.start());
  }

  start(): void {
    const table = this.querySelector("table");
    const body = table?.querySelector("tbody");
    if (this.#started || !table || !body) return;
    this.#started = true;
    this.cells = [...body.querySelectorAll("td")];
    this.width = Math.max(1, this.cells.length / Math.max(1, body.querySelectorAll("tr").length));
    table.setAttribute("role", "grid");
    const first = this.cells.findIndex((cell) => cell.classList.contains("on"));
    const fromEnd = this.dataset["end"] !== undefined;
    this.#at = first >= 0 ? first : fromEnd ? this.width - 1 : 0;
    const view = this.querySelector(".scroll");
    if (fromEnd && view) view.scrollLeft = view.scrollWidth;
    const start = this.cells[this.#at];
    if (start) start.tabIndex = 0;

    const placeOf = (event: Event) => {
      const cell = event.target instanceof Element ? event.target.closest("td") : null;
      return cell ? this.cells.indexOf(cell) : -1;
    };
    const readout = this.querySelector(".readout");
    const hint = readout?.textContent ?? "";
    const look = (place: number) => {
      if (place < 0) return;
      const text = this.#describe(place);
      if (readout) readout.textContent = text;
      return text;
    };
    table.addEventListener("pointerover", (event) => look(placeOf(event)));
    table.addEventListener("pointerleave", () => {
      if (table.contains(document.activeElement)) look(this.#at);
      else {
        this.#mark([]);
        if (readout) readout.textContent = hint;
      }
    });
    table.addEventListener("focusin", (event) => {
      const text = look(placeOf(event));
      if (text !== undefined && event.target instanceof Element)
        event.target.setAttribute("aria-label", text);
    });
    table.addEventListener("click", (event) => {
      const place = placeOf(event);
      if (place < 0) return;
      this.#go(place);
      this.#pick(place);
    });
    table.addEventListener("keydown", (event) => {
      const next = placeAfter(event, this.#at, this.cells.length, this.width);
      if (next !== null) this.#go(next);
      else if (event.key === "Enter" || event.key === " ") this.#pick(this.#at);
      else return;
      event.preventDefault();
    });
  }

  #go(place: number): void {
    const [from, to] = [this.cells[this.#at], this.cells[place]];
    if (!to) return;
    from?.removeAttribute("tabindex");
    this.#at = place;
    to.tabIndex = 0;
    to.focus();
  }

  /** Choosing a cell that stands for a head shows the head wherever there is a viewer. */
  #pick(place: number): void {
    const head = this.cells[place]?.dataset["head"];
    if (head !== undefined) document.dispatchEvent(new CustomEvent("hl-head", { detail: head }));
  }

  #describe(place: number): string {
    const cell = this.cells[place];
    const column = place % this.width;
    const rowTitle = cell?.parentElement?.querySelector("th");
    const columnTitle = this.querySelectorAll("thead th")[column];
    this.#mark([rowTitle, columnTitle]);
    const more = this.about?.(Math.floor(place / this.width), column) ?? cell?.dataset["about"];
    return more ?? `${words(rowTitle)}, ${words(columnTitle)}: ${words(cell)}`;
  }

  #mark(elements: readonly (Element | null | undefined)[]): void {
    for (const element of this.#hot) element.classList.remove("hot");
    this.#hot = elements.filter((element) => element instanceof Element);
    for (const element of this.#hot) element.classList.add("hot");
  }
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The reader of `../pattern-code.ts`: shares from 0 to 1. */
function decodePattern(text: string, count: number): Float64Array {
  const shares = new Float64Array(count);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const code = alphabet.indexOf(text[i] ?? "");
    if (code > 15) at += code - 15;
    else {
      const kept = code * 64 + alphabet.indexOf(text[++i] ?? "");
      shares[at++] = kept > 1000 ? Number.NaN : kept / 1000;
    }
  }
  return shares;
}

function shareClass(share: number): string {
  return Number.isNaN(share) ? "nan" : `q${Math.round(10 * Math.sqrt(share))}`;
}

function percent(share: number): string {
  return Number.isNaN(share) ? "NaN" : `${(100 * share).toFixed(1)} %`;
}

/** A head in the overview: inked where it looks, on whatever is behind. */
function paint(canvas: HTMLCanvasElement, shares: Float64Array, side: number): void {
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext("2d");
  if (!context) return;
  const [r = 0, g = 0, b = 0] = (getComputedStyle(canvas).color.match(/\d+/g) ?? []).map(Number);
  const image = context.createImageData(side, side);
  for (const [i, share] of shares.entries()) {
    const strength = Number.isNaN(share) ? 1 : Math.sqrt(share);
    image.data.set([r, g, b, Math.round(255 * strength)], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** The viewer of attention patterns. */
class Attention extends HTMLElement {
  #heads: HTMLButtonElement[] = [];
  #tokens: HTMLButtonElement[] = [];
  #shares = new Float64Array(0);
  #token = 0;
  #looksAt = true;
  #started = false;
  readonly #choose = (event: Event) => {
    const id = event instanceof CustomEvent ? event.detail : null;
    const head = this.#heads.find((button) => button.dataset["head"] === id);
    if (head) this.#select(head);
  };

  readonly #scheme = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
  readonly #paint = () => {
    for (const button of this.#heads) {
      const canvas = button.querySelector("canvas");
      if (canvas) paint(canvas, this.#decode(button), this.#tokens.length);
    }
  };

  connectedCallback(): void {
    document.addEventListener("hl-head", this.#choose);
    whenRead(this, () => this.#start());
  }

  disconnectedCallback(): void {
    document.removeEventListener("hl-head", this.#choose);
    this.#scheme?.removeEventListener("change", this.#paint);
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#heads = [...this.querySelectorAll<HTMLButtonElement>(".heads button")];
    this.#tokens = [...this.querySelectorAll<HTMLButtonElement>(".strip button")];
    const overview = this.querySelector<HTMLElement>(".heads");
    const columns = Number(overview?.style.getPropertyValue("--columns")) || 1;
    for (const [at, button] of this.#heads.entries()) {
      button.addEventListener("click", () => this.#select(button));
      button.addEventListener("keydown", (event) => {
        const next = placeAfter(event, at, this.#heads.length, columns);
        const head = next === null ? undefined : this.#heads[next];
        if (!head) return;
        event.preventDefault();
        head.focus();
        this.#select(head);
      });
    }
    for (const [at, button] of this.#tokens.entries()) {
      const look = () => this.#look(at);
      for (const kind of ["pointerenter", "focus", "click"]) button.addEventListener(kind, look);
      button.addEventListener("keydown", (event) => {
        const next = placeAfter(event, at, this.#tokens.length, this.#tokens.length);
        if (next === null) return;
        event.preventDefault();
        this.#tokens[next]?.focus();
      });
    }
    const directions = [...this.querySelectorAll<HTMLButtonElement>("[data-direction]")];
    for (const [at, button] of directions.entries()) {
      const choose = () => {
        this.#looksAt = button.dataset["direction"] === "from";
        for (const one of directions) one.setAttribute("aria-checked", String(one === button));
        rove(directions, button);
        this.#look(this.#token);
      };
      button.addEventListener("click", choose);
      button.addEventListener("keydown", (event) => {
        if (!event.key.startsWith("Arrow")) return;
        event.preventDefault();
        directions[1 - at]?.focus();
        directions[1 - at]?.click();
      });
    }
    this.#paint();
    this.#scheme?.addEventListener("change", this.#paint);
    const [direction] = directions;
    if (direction) rove(directions, direction);
    const grid = this.querySelector("hl-grid");
    if (grid instanceof Grid) {
      grid.start();
      grid.about = (query, key) => this.#about(query, key);
    }
    this.#token = Math.max(0, this.#tokens.length - 1);
    const chosen = this.#heads.find((button) => button.getAttribute("aria-checked") === "true");
    if (chosen) this.#select(chosen);
  }

  #decode(button: HTMLElement): Float64Array<ArrayBuffer> {
    const side = this.#tokens.length;
    return Float64Array.from(decodePattern(button.dataset["p"] ?? "", side * side));
  }

  #select(head: HTMLButtonElement): void {
    rove(this.#heads, head);
    for (const one of this.#heads) one.setAttribute("aria-checked", String(one === head));
    this.#shares = this.#decode(head);
    const name = this.querySelector(".which b");
    const note = this.querySelector(".which span");
    const [title = "", about = ""] = (head.getAttribute("aria-label") ?? "").split(/, (.*)/s);
    if (name) name.textContent = title;
    if (note) note.textContent = about;
    const label = `How much each token (row) looks at each token (column), in per cent: ${title}`;
    this.querySelector("table")?.setAttribute("aria-label", label);
    const side = this.#tokens.length;
    const numbers = this.dataset["size"] === "large";
    const grid = this.querySelector("hl-grid");
    for (const [i, cell] of (grid instanceof Grid ? grid.cells : []).entries()) {
      if (this.dataset["causal"] !== undefined && i % side > Math.floor(i / side)) continue;
      const share = this.#shares[i] ?? 0;
      cell.className = shareClass(share);
      const written = Number.isNaN(share) ? "NaN" : share < 0.005 ? "" : String(Math.round(100 * share));
      if (numbers) cell.textContent = written;
    }
    this.#look(this.#token);
  }

  #about(query: number, key: number): string {
    const share = this.#shares[query * this.#tokens.length + key] ?? 0;
    if (this.dataset["causal"] !== undefined && key > query)
      return `${this.#name(query)} cannot see ${this.#name(key)}`;
    this.#look(query);
    return `${this.#name(query)} looks at ${this.#name(key)}: ${percent(share)}`;
  }

  #name(at: number): string {
    const button = this.#tokens[at];
    return `${button?.dataset["at"]} ${words(button)}`;
  }

  /** Colours the tokens by what one of them looks at, or by how much each looks at it. */
  #look(token: number): void {
    this.#token = token;
    const side = this.#tokens.length;
    const shareAt = (other: number) =>
      this.#shares[this.#looksAt ? token * side + other : other * side + token] ?? 0;
    for (const [other, button] of this.#tokens.entries()) {
      button.className = `${shareClass(shareAt(other))}${other === token ? " on" : ""}`;
    }
    const chosen = this.#tokens[token];
    if (!chosen) return;
    rove(this.#tokens, chosen);
    const strongest = [...this.#tokens.keys()].sort((a, b) => shareAt(b) - shareAt(a)).slice(0, 3);
    const listed = strongest
      .filter((other) => shareAt(other) > 0)
      .map((other) => `${this.#name(other)} ${percent(shareAt(other))}`);
    const said = this.querySelector(".said");
    if (said) {
      const verb = this.#looksAt ? "looks at" : "is looked at by";
      said.textContent = `${this.#name(token)} ${verb} ${listed.join(", ") || "nothing"}`;
    }
  }
}

// Pictures in one page each bring the script.
if (customElements.get("hl-grid") === undefined) {
  customElements.define("hl-grid", Grid);
  customElements.define("hl-attention", Attention);
}
