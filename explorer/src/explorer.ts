import type { LoadProgress } from "hooklens";
import { html, type TemplateResult } from "lit";
import { Cancelled, type Connection, connect } from "./connect.ts";
import {
  type Edit,
  type Experiment,
  fromHash,
  readExperiment,
  samePlace,
  type Target,
  toHash,
  writeExperiment,
} from "./experiment.ts";
import type { Findings, ModelFacts, Reading } from "./laboratory.ts";
import { LightElement } from "./light-element.ts";
import { droppedFiles } from "./local-files.ts";
import {
  BUILT_IN,
  describeModel,
  isBuiltIn,
  isElsewhere,
  isLocal,
  type Local,
  type ModelChoice,
  normalizedModel,
} from "./model-choice.ts";
import type { HeadGrid } from "./parts/head-grid.ts";
import type { LargePattern } from "./parts/large-pattern.ts";
import { strongestOf } from "./parts/pattern.ts";
import type { View } from "./show.ts";
import type { Kept } from "./worker.ts";

const START: Experiment = {
  version: 1,
  model: "builtin:tiny",
  prompt: "And God said, Let there be",
  source: "And God said, Let there is",
  edits: [],
};

/** How long typing may pause before the prompt is run, in milliseconds. */
const PATIENCE = 350;

/** How long something may take before the page says that it is busy, in milliseconds. */
const UNNOTICED = 400;

/** Why a model is not loaded by itself: nobody has said that it may be fetched, or its files have to be chosen. */
type Wanting = "permission" | "files";

/** The page: what is asked, and what came of it. */
export class Explorer extends LightElement {
  static override properties = {
    experiment: { state: true },
    facts: { state: true },
    findings: { state: true },
    target: { state: true },
    position: { state: true },
    view: { state: true },
    status: { state: true },
    problem: { state: true },
    progress: { state: true },
    wanting: { state: true },
    kept: { state: true },
    busy: { state: true },
    dragging: { state: true },
    damaged: { state: true },
    choosing: { state: true },
  };
  declare experiment: Experiment;
  declare facts: ModelFacts | null;
  declare findings: Findings | null;
  declare target: Target;
  declare position: number | null;
  declare view: View;
  /** Said to those who do not see the page. */
  declare status: string;
  declare problem: string;
  declare progress: LoadProgress | null;
  declare wanting: Wanting | null;
  declare kept: readonly Kept[];
  declare busy: boolean;
  declare dragging: boolean;
  /** What is wrong with the link, until something is asked. */
  declare damaged: string;
  /** Whether models beside the built-in ones are offered. */
  declare choosing: boolean;

  readonly #connection: Connection = connect();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  #again = false;
  #busy: ReturnType<typeof setTimeout> | undefined;
  /** What is loaded, and what could not be: it is not tried again unless someone says so. */
  #loaded = "";
  #failed = "";
  /** Files of this device that were chosen in this visit, by the names of their models. */
  readonly #local = new Map<string, Local>();
  /** Addresses that someone entered or agreed to in this visit. */
  readonly #allowed = new Set<string>();
  /** The last head that was chosen: its pattern is the large one. */
  #head: Required<Pick<Target, "layer" | "head">> = { layer: 0, head: 0 };

  constructor() {
    super();
    this.experiment = START;
    this.facts = null;
    this.findings = null;
    this.target = { part: "head", layer: 0, head: 0 };
    this.position = null;
    this.view = "plain";
    this.status = "";
    this.problem = "";
    this.progress = null;
    this.wanting = null;
    this.kept = [];
    this.busy = false;
    this.dragging = false;
    this.damaged = "";
    this.choosing = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#readHash();
    for (const [kind, hear] of this.#drops) globalThis.addEventListener(kind, hear);
    globalThis.addEventListener("hashchange", this.#readHashAgain);
    this.#scheme.addEventListener("change", this.#redraw);
    void this.#update();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    globalThis.removeEventListener("hashchange", this.#readHashAgain);
    this.#scheme.removeEventListener("change", this.#redraw);
    for (const [kind, hear] of this.#drops) globalThis.removeEventListener(kind, hear);
  }

  readonly #drag = (event: DragEvent) => {
    if (event.dataTransfer?.types.includes("Files") !== true) return;
    event.preventDefault();
    this.dragging = event.type !== "dragleave" || event.relatedTarget !== null;
  };
  readonly #drop = (event: DragEvent) => {
    if (event.dataTransfer?.types.includes("Files") !== true) return;
    event.preventDefault();
    this.dragging = false;
    droppedFiles(event.dataTransfer).then(
      (choice) => {
        if (choice !== null) this.#useModel(choice);
      },
      (error: unknown) => {
        this.problem = `What was dropped cannot be read: ${messageOf(error)}`;
      },
    );
  };
  readonly #drops = [
    ["dragenter", this.#drag],
    ["dragover", this.#drag],
    ["dragleave", this.#drag],
    ["drop", this.#drop],
  ] as const;

  readonly #scheme = globalThis.matchMedia("(prefers-color-scheme: dark)");
  readonly #redraw = () => {
    this.querySelector<HeadGrid>("hl-head-grid")?.draw();
    this.querySelector<LargePattern>("hl-large-pattern")?.draw();
  };

  readonly #readHashAgain = () => {
    if (globalThis.location.hash.slice(1) === toHash(this.experiment)) return;
    this.#readHash();
    void this.#update();
  };

  #readHash(): void {
    this.damaged = "";
    if (globalThis.location.hash.length < 2) return;
    try {
      const asked = fromHash(globalThis.location.hash);
      this.experiment = { ...asked, model: normalizedModel(asked.model, document.baseURI) };
    } catch (error) {
      this.damaged = `This link cannot be read: ${messageOf(error).replace(/\.$/, "")}. This is what the page begins with.`;
    }
  }

  /** Asks something else, at once or when typing pauses. */
  #ask(change: Partial<Experiment>, wait = 0): void {
    this.damaged = "";
    this.experiment = { ...this.experiment, ...change };
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#update(), wait);
  }

  /** Asks the same of another model; what is being loaded is not wanted any more. */
  #useModel({ model, half, local }: ModelChoice): void {
    if (local !== undefined) this.#local.set(model, local);
    this.#allowed.add(model);
    this.#failed = "";
    if (local !== undefined || keyOf(model, half) !== this.#loaded) {
      this.#loaded = "";
      this.#connection.cancel();
    }
    const { dtype: _, ...others } = this.experiment;
    this.experiment = { ...others, model, edits: [], ...(half ? { dtype: "float16" as const } : {}) };
    this.#ask({});
  }

  #tryAgain(): void {
    this.#failed = "";
    this.#allowed.add(this.experiment.model);
    this.#ask({});
  }

  /** Whether a model may be loaded without asking first. */
  async #wants(model: string): Promise<Wanting | null> {
    if (isLocal(model)) return this.#local.has(model) ? null : "files";
    if (this.#allowed.has(model) || !isElsewhere(model, document.baseURI)) return null;
    await this.#list();
    return this.kept.some(({ source }) => source === model) ? null : "permission";
  }

  /** What is kept on this device; without storage that is nothing. */
  async #list(): Promise<void> {
    this.kept = await this.#connection.kept().catch(() => []);
  }

  async #forget(source: string): Promise<void> {
    try {
      await this.#connection.forget(source);
      this.status = `${describeModel(source)} is deleted from this device.`;
    } catch (error) {
      this.problem = messageOf(error);
    }
    await this.#list();
  }

  /** Runs what is asked now; while that runs, what is asked meanwhile is remembered. */
  async #update(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    const { experiment } = this;
    const key = keyOf(experiment.model, experiment.dtype !== undefined);
    this.#busy = setTimeout(() => {
      this.busy = true;
    }, UNNOTICED);
    try {
      if (this.#loaded !== key && !(await this.#load(experiment, key))) return;
      this.findings = await this.#connection.run(experiment);
      if (this.position !== null && this.position >= this.findings.tokens.length) this.position = null;
      this.view = this.findings.edited === null ? "plain" : this.view === "plain" ? "edited" : this.view;
      this.problem = "";
      this.status = statusOf(this.findings);
      globalThis.history.replaceState(null, "", `#${toHash(experiment)}`);
    } catch (error) {
      if (!(error instanceof Cancelled)) this.problem = messageOf(error);
      else if (this.experiment === experiment) this.problem = "Loading was cancelled.";
    } finally {
      clearTimeout(this.#busy);
      this.#running = false;
      this.progress = null;
      this.busy = false;
      const again = this.#again;
      this.#again = false;
      if (again) void this.#update();
    }
  }

  /** Loads the model of an experiment; false if that has to wait for someone. */
  async #load({ model, dtype }: Experiment, key: string): Promise<boolean> {
    if (this.#failed === key) return false;
    this.#loaded = "";
    this.facts = null;
    this.findings = null;
    this.wanting = await this.#wants(model);
    if (this.wanting === "files") this.choosing = true;
    this.problem = "";
    if (this.wanting !== null) return false;
    this.status = "Loading the model";
    this.#failed = key;
    const local = this.#local.get(model);
    const choice = { model, half: dtype !== undefined, ...(local === undefined ? {} : { local }) };
    let told = 0;
    this.facts = await this.#connection.load(choice, (progress) => {
      this.progress = progress;
      const quarter = Math.floor((4 * progress.done) / Math.max(1, progress.total));
      if (quarter > told && quarter < 4) this.status = `Loading the model, ${25 * quarter} %`;
      told = Math.max(told, quarter);
    });
    this.#failed = "";
    this.#loaded = key;
    this.#head = { layer: 0, head: 0 };
    this.target = { part: "head", layer: 0, head: 0 };
    this.position = null;
    void this.#list();
    return true;
  }

  #choose(target: Target): void {
    this.target = target;
    if (target.head !== undefined) this.#head = { layer: target.layer, head: target.head };
  }

  #edit(edit: Edit): void {
    const others = this.experiment.edits.filter((other) => !samePlace(other, edit));
    this.#ask({ edits: [...others, edit] });
  }

  #export(): void {
    const url = URL.createObjectURL(
      new Blob([writeExperiment(this.experiment)], { type: "application/json" }),
    );
    const link = Object.assign(document.createElement("a"), {
      href: url,
      download: "hooklens-experiment.json",
    });
    link.click();
    URL.revokeObjectURL(url);
  }

  async #import(file: File): Promise<void> {
    try {
      const asked = readExperiment(await file.text());
      this.experiment = { ...asked, model: normalizedModel(asked.model, document.baseURI) };
      this.#ask({});
    } catch (error) {
      this.problem = `${file.name}: ${messageOf(error).replace(/\.$/, "")}.`;
    }
  }

  async #share(): Promise<void> {
    const link = `${globalThis.location.href.split("#")[0]}#${toHash(this.experiment)}`;
    try {
      await navigator.clipboard.writeText(link);
      this.status = "The link is copied.";
    } catch {
      this.problem = "The link could not be copied: it is in the address bar.";
    }
  }

  /** The patterns that the view shows. */
  #patterns({ plain, edited }: Findings): Float32Array {
    if (edited === null || this.view === "plain") return plain.patterns;
    if (this.view === "edited") return edited.patterns;
    return edited.patterns.map((share, i) => share - (plain.patterns[i] ?? 0));
  }

  protected override render(): TemplateResult {
    const { experiment, findings, facts } = this;
    return html`${this.dragging ? html`<p class="drop" aria-hidden="true">Drop a model’s folder or files: they are read here and sent nowhere.</p>` : ""}
      <header>
        <h1>hooklens explorer</h1>
        <p class="soft">A language model that runs in this page. Nothing that you type leaves it.</p>
      </header>
      <main>
        <section aria-labelledby="ask-title">
          <h2 id="ask-title">Prompt</h2>
          ${this.busy && facts !== null ? html`<p class="busy" aria-hidden="true">running…</p>` : ""}
          ${this.#form()}
          <p role="status" class="hidden">${this.status}</p>
          ${this.damaged === "" ? "" : html`<p role="alert" class="problem">${this.damaged}</p>`}
          ${this.problem === "" ? "" : html`<p role="alert" class="problem">${this.problem}</p>`}
          ${facts === null ? this.#unloaded() : ""}
        </section>
        ${findings === null || facts === null ? "" : this.#results(findings, facts)}
      </main>
      <footer class="soft">${facts === null ? "" : html`${isBuiltIn(experiment.model) ? experiment.model : describeModel(experiment.model)}: ${facts.layers} layers × ${facts.heads} heads, context ${facts.context}, vocabulary ${facts.vocabulary}${experiment.dtype === undefined ? "" : ", weights in half precision"}.`}</footer>`;
  }

  /** What is shown in the place of results while there is no model. */
  #unloaded(): TemplateResult {
    const { model } = this.experiment;
    const name = describeModel(model);
    if (this.wanting === "files") {
      return html`<p class="notice">This experiment is about the model <b>${name}</b>, which a link cannot carry. Open its folder under “Another model”, or choose one of the list.</p>`;
    }
    if (this.wanting === "permission") {
      return html`<div class="notice"><p>This experiment uses the model at <b>${model}</b>. Nothing has been fetched from there yet.</p>
        <button type="button" @click=${() => this.#tryAgain()}>Load it</button></div>`;
    }
    if (this.problem !== "") {
      return html`<p><button type="button" @click=${() => this.#tryAgain()}>Try again</button></p>`;
    }
    return html`<hl-load-progress .name=${name} .progress=${this.progress} @cancel=${() => this.#connection.cancel()}></hl-load-progress>`;
  }

  #form(): TemplateResult {
    const { model, prompt, source, dtype } = this.experiment;
    const text = (key: "prompt" | "source") => (event: Event) =>
      this.#ask({ [key]: (event.target as HTMLTextAreaElement).value }, PATIENCE);
    const known = isBuiltIn(model) ? BUILT_IN : [...BUILT_IN, [model, describeModel(model)] as const];
    return html`<div class="form">
      <label>Model
        <select @change=${(event: Event) => this.#useModel({ model: (event.target as HTMLSelectElement).value, half: false })}>
          ${known.map(([name, about]) => html`<option value=${name} .selected=${name === model}>${about}</option>`)}
        </select>
      </label>
      <details class="other" .open=${this.choosing} @toggle=${(event: Event) => {
        this.choosing = (event.target as HTMLDetailsElement).open;
      }}>
        <summary>Another model</summary>
        ${
          this.choosing
            ? html`<hl-model-chooser .kept=${this.kept} .half=${dtype !== undefined}
                @choose=${(event: CustomEvent<ModelChoice>) => this.#useModel(event.detail)}
                @forget=${(event: CustomEvent<string>) => void this.#forget(event.detail)}></hl-model-chooser>`
            : ""
        }
      </details>
      <label>Prompt
        <textarea rows="2" spellcheck="false" maxlength="20000" .value=${prompt} @input=${text("prompt")}></textarea>
      </label>
      <label>Second prompt, to patch from
        <textarea rows="2" spellcheck="false" maxlength="20000" .value=${source} @input=${text("source")}></textarea>
      </label>
    </div>`;
  }

  #results(findings: Findings, facts: ModelFacts): TemplateResult {
    const { tokens, plain, edited, next } = findings;
    const { layer, head } = this.#head;
    const side = tokens.length;
    const shown = this.#patterns(findings);
    const strongest = edited !== null && this.view === "difference" ? strongestOf(shown) : 1;
    const start = (layer * facts.heads + head) * side * side;
    const pattern = shown.subarray(start, start + side * side);
    const from = this.position ?? side - 1;
    const run: Reading = edited !== null && this.view !== "plain" ? edited : plain;
    const shares = [...run.patterns.subarray(start + from * side, start + (from + 1) * side)];
    const norms = (reading: Reading) => reading.norms.map((row) => row[from] ?? Number.NaN);
    return html`
      <section aria-labelledby="tokens-title">
        <h2 id="tokens-title">Tokens</h2>
        <hl-token-strip .tokens=${tokens} .position=${this.position} .shares=${shares} .head=${`${layer}.${head}`} @position=${(
          event: CustomEvent<number | null>,
        ) => {
          this.position = event.detail;
        }}></hl-token-strip>
      </section>
      <div class="columns">
        <section aria-labelledby="next-title">
          <h2 id="next-title">Next token</h2>
          <hl-next-tokens .changes=${next} .edited=${edited !== null}></hl-next-tokens>
        </section>
        <section aria-labelledby="change-title">
          <h2 id="change-title">Change</h2>
          <hl-edit-panel .target=${this.target} .position=${this.position} .tokens=${tokens} .edits=${this.experiment.edits} .canPatch=${this.experiment.source !== ""}
            @edit=${(event: CustomEvent<Edit>) => this.#edit(event.detail)}
            @remove=${(event: CustomEvent<number>) => this.#ask({ edits: this.experiment.edits.filter((_, at) => at !== event.detail) })}
            @clear=${() => this.#ask({ edits: [] })}
            @export=${() => this.#export()}
            @import=${(event: CustomEvent<File>) => void this.#import(event.detail)}
            @share=${() => void this.#share()}></hl-edit-panel>
        </section>
      </div>
      <section aria-labelledby="attention-title">
        <h2 id="attention-title">Attention</h2>
        ${this.#views(edited !== null)}
        <div class="attention">
          <hl-head-grid .facts=${facts} .chosen=${this.target} .edits=${this.experiment.edits} .values=${shown} .side=${side} .strongest=${strongest} @target=${(event: CustomEvent<Target>) => this.#choose(event.detail)}></hl-head-grid>
          <hl-large-pattern .tokens=${tokens} .values=${pattern} .name=${`${layer}.${head}`} .difference=${this.view === "difference"} .strongest=${strongest}></hl-large-pattern>
        </div>
      </section>
      <section aria-labelledby="lens-title">
        <h2 id="lens-title">Logit lens</h2>
        <p class="soft">The best guess after each block (rows) for what follows each token (columns).${edited === null ? "" : " Underlined is what the edits changed."}</p>
        <hl-lens-table .tokens=${tokens} .rows=${run.lens} .compared=${run === edited ? plain.lens : null} .position=${this.position}></hl-lens-table>
      </section>
      <section aria-labelledby="norms-title">
        <h2 id="norms-title">Residual norms</h2>
        <hl-norm-chart .plain=${norms(plain)} .edited=${edited === null ? null : norms(edited)} .where=${`at position ${from}`}></hl-norm-chart>
      </section>`;
  }

  #views(edited: boolean): TemplateResult {
    const names: Readonly<Record<View, string>> = {
      plain: "without edits",
      edited: "with edits",
      difference: "difference",
    };
    return html`<fieldset class="views" ?disabled=${!edited}>
      <legend class="hidden">What pictures show</legend>
      ${(["plain", "edited", "difference"] as const).map(
        (view) =>
          html`<label><input type="radio" name="view" .checked=${this.view === view} @change=${() => {
            this.view = view;
          }} />${names[view]}</label>`,
      )}
    </fieldset>`;
  }
}

/** What one load differs by from another. */
function keyOf(model: string, half: boolean): string {
  return `${half ? "float16" : "float32"} ${model}`;
}

/** Longer messages list every weight that does not fit. */
const LONGEST_MESSAGE = 700;

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE)}…` : message;
}

/** What changed, in a sentence. */
function statusOf({ next, edited }: Findings): string {
  const [best] = next;
  if (best === undefined) return "";
  const share = `${(100 * best.after).toFixed(1)} %`;
  return edited === null
    ? `Next: ${best.text}, ${share}`
    : `With edits next: ${best.text}, ${share}, before ${(100 * best.before).toFixed(1)} %`;
}
