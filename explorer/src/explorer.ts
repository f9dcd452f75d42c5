import type { Progress } from "hooklens";
import { html, type TemplateResult } from "lit";
import { type Connection, connect } from "./connect.ts";
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
import type { HeadGrid } from "./parts/head-grid.ts";
import type { LargePattern } from "./parts/large-pattern.ts";
import { strongestOf } from "./parts/pattern.ts";
import type { View } from "./show.ts";

const START: Experiment = {
  version: 1,
  model: "builtin:tiny",
  prompt: "And God said, Let there be",
  source: "And God said, Let there is",
  edits: [],
};

const MODELS: readonly (readonly [name: string, about: string])[] = [
  ["builtin:tiny", "tiny: a GPT-2 of 4 layers that read one book"],
  ["builtin:induction", "induction: 2 layers of attention alone"],
];

/** How long typing may pause before the prompt is run, in milliseconds. */
const PATIENCE = 350;

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
  declare progress: Progress | null;

  readonly #connection: Connection = connect();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What is wrong with the link, until something is asked. */
  #link = "";
  #running = false;
  #again = false;
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
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#readHash();
    globalThis.addEventListener("hashchange", this.#readHashAgain);
    this.#scheme.addEventListener("change", this.#redraw);
    void this.#update();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    globalThis.removeEventListener("hashchange", this.#readHashAgain);
    this.#scheme.removeEventListener("change", this.#redraw);
  }

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
    if (globalThis.location.hash.length < 2) return;
    try {
      this.experiment = fromHash(globalThis.location.hash);
    } catch (error) {
      this.#link = `This link cannot be read: ${messageOf(error)}. This is what the page begins with.`;
    }
  }

  /** Asks something else, at once or when typing pauses. */
  #ask(change: Partial<Experiment>, wait = 0): void {
    this.experiment = { ...this.experiment, ...change };
    this.#link = "";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#update(), wait);
  }

  /** Runs what is asked now; while that runs, what is asked meanwhile is remembered. */
  async #update(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    const { experiment } = this;
    try {
      if (this.facts?.name !== experiment.model) await this.#load(experiment.model);
      this.findings = await this.#connection.run(experiment);
      if (this.position !== null && this.position >= this.findings.tokens.length) this.position = null;
      this.view = this.findings.edited === null ? "plain" : this.view === "plain" ? "edited" : this.view;
      this.problem = this.#link;
      this.status = statusOf(this.findings);
      globalThis.history.replaceState(null, "", `#${toHash(experiment)}`);
    } catch (error) {
      this.problem = messageOf(error);
    } finally {
      this.#running = false;
      this.progress = null;
    }
    if (!this.#again) return;
    this.#again = false;
    await this.#update();
  }

  async #load(name: string): Promise<void> {
    this.facts = null;
    this.findings = null;
    this.status = "Loading the model";
    this.facts = await this.#connection.load(name, (progress) => {
      this.progress = progress;
    });
    this.#head = { layer: 0, head: 0 };
    this.target = { part: "head", layer: 0, head: 0 };
    this.position = null;
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
      this.#ask(readExperiment(await file.text()));
    } catch (error) {
      this.problem = `${file.name}: ${messageOf(error)}.`;
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
    return html`<header>
        <h1>hooklens explorer</h1>
        <p class="soft">A language model that runs in this page. Nothing that you type leaves it.</p>
      </header>
      <main>
        <section aria-labelledby="ask-title">
          <h2 id="ask-title">Prompt</h2>
          ${this.#form()}
          <p role="status" class="hidden">${this.status}</p>
          ${this.problem === "" ? "" : html`<p role="alert" class="problem">${this.problem}</p>`}
          ${facts === null && this.problem === "" ? this.#loading() : ""}
        </section>
        ${findings === null || facts === null ? "" : this.#results(findings, facts)}
      </main>
      <footer class="soft">${facts === null ? "" : html`${experiment.model}: ${facts.layers} layers × ${facts.heads} heads, context ${facts.context}, vocabulary ${facts.vocabulary}.`}</footer>`;
  }

  #loading(): TemplateResult {
    const { progress } = this;
    return html`<p class="soft">Loading ${this.experiment.model}… <progress aria-label="Loading the model" max="1" .value=${progress === null ? 0 : progress.done / Math.max(1, progress.total)}></progress></p>`;
  }

  #form(): TemplateResult {
    const { model, prompt, source } = this.experiment;
    const text = (key: "prompt" | "source") => (event: Event) =>
      this.#ask({ [key]: (event.target as HTMLTextAreaElement).value }, PATIENCE);
    const known = MODELS.some(([name]) => name === model) ? MODELS : [...MODELS, [model, model] as const];
    return html`<div class="form">
      <label>Model
        <select @change=${(event: Event) => this.#ask({ model: (event.target as HTMLSelectElement).value, edits: [] })}>
          ${known.map(([name, about]) => html`<option value=${name} ?selected=${name === model}>${about}</option>`)}
        </select>
      </label>
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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
