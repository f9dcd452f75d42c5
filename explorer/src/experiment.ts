/**
 * What the page is asked: a prompt, a second one to patch from, and edits. Plain data, which is exported, imported and
 * shared as a link, and which the worker gets.
 */

/** What an edit does with an activation. */
export type Action = "zero" | "scale" | "patch";

/** Which activation: a head's output, what attention or the MLP writes, or the residual stream behind a block. */
export type Part = "embedding" | "head" | "attention" | "mlp" | "residual";

/** A place in the model. */
export interface Target {
  readonly part: Part;
  readonly layer: number;
  /** The head, where the part is one. */
  readonly head?: number;
}

/** One change of one activation. */
export interface Edit extends Target {
  readonly action: Action;
  /** What `scale` multiplies by. */
  readonly factor?: number;
  /** The position; all if it is left out. */
  readonly position?: number;
}

/** Everything that decides what the page shows. */
export interface Experiment {
  readonly version: 1;
  /** As `HookedTransformer.fromPretrained` takes it, or `local:` and the name of a folder that only its user has. */
  readonly model: string;
  /** What weights are converted to; float32 if it is left out. */
  readonly dtype?: "float16";
  readonly prompt: string;
  /** The second prompt, which `patch` takes activations from. */
  readonly source: string;
  readonly edits: readonly Edit[];
}

const ACTIONS: readonly unknown[] = ["zero", "scale", "patch"] satisfies Action[];
const PARTS: readonly unknown[] = ["embedding", "head", "attention", "mlp", "residual"] satisfies Part[];
const LONGEST_TEXT = 20_000;
const MOST_EDITS = 200;

/** The hook point that holds a part. */
export function pointOf({ part, layer }: Target): string {
  switch (part) {
    case "embedding":
      return "blocks.0.hook_resid_pre";
    case "head":
      return `blocks.${layer}.attn.hook_z`;
    case "attention":
      return `blocks.${layer}.hook_attn_out`;
    case "mlp":
      return `blocks.${layer}.hook_mlp_out`;
    case "residual":
      return `blocks.${layer}.hook_resid_post`;
  }
}

/** What people call a part: `head 1.0`, `MLP of block 2`. */
export function nameOf({ part, layer, head }: Target): string {
  switch (part) {
    case "embedding":
      return "embedding";
    case "head":
      return `head ${layer}.${head}`;
    case "attention":
      return `attention of block ${layer}`;
    case "mlp":
      return `MLP of block ${layer}`;
    case "residual":
      return `residual stream after block ${layer}`;
  }
}

/** An edit in words. */
export function describeEdit(edit: Edit, tokens: readonly string[]): string {
  const { action, factor = 1, position } = edit;
  const does =
    action === "zero" ? "zero" : action === "scale" ? `× ${factor}` : "patch from the second prompt";
  const where =
    position === undefined ? "all positions" : `position ${position} ${tokens[position] ?? ""}`.trim();
  return `${nameOf(edit)}: ${does}, ${where}`;
}

/** Whether two edits change the same activation at the same positions. */
export function samePlace(a: Edit, b: Edit): boolean {
  return a.part === b.part && a.layer === b.layer && a.head === b.head && a.position === b.position;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 1e6;
}

function readText(from: Record<string, unknown>, key: string): string {
  const value = from[key];
  if (typeof value === "string" && value.length <= LONGEST_TEXT) return value;
  throw new Error(`'${key}' should be a text of at most ${LONGEST_TEXT} characters`);
}

function readEdit(value: unknown, at: number): Edit {
  const wrong = (what: string) => new Error(`edit ${at}: ${what}`);
  if (!isRecord(value)) throw wrong("should be an object");
  const { part, layer, head, action, factor, position } = value;
  if (!PARTS.includes(part)) throw wrong(`'part' should be one of ${PARTS.join(", ")}`);
  if (!ACTIONS.includes(action)) throw wrong(`'action' should be one of ${ACTIONS.join(", ")}`);
  if (!isCount(layer)) throw wrong("'layer' should be a whole number from 0 on");
  if ((part === "head") !== (head !== undefined)) throw wrong("'head' belongs to the part 'head' alone");
  if (head !== undefined && !isCount(head)) throw wrong("'head' should be a whole number from 0 on");
  if ((action === "scale") !== (factor !== undefined)) throw wrong("'factor' belongs to 'scale' alone");
  if (factor !== undefined && !(typeof factor === "number" && Number.isFinite(factor))) {
    throw wrong("'factor' should be a number");
  }
  if (position !== undefined && !isCount(position))
    throw wrong("'position' should be a whole number from 0 on");
  return {
    part: part as Part,
    layer,
    action: action as Action,
    ...(head === undefined ? {} : { head }),
    ...(factor === undefined ? {} : { factor }),
    ...(position === undefined ? {} : { position }),
  };
}

/** An experiment from JSON that may come from anywhere; throws what is wrong with it. */
export function readExperiment(json: string): Experiment {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new Error("this is no JSON");
  }
  if (!isRecord(value)) throw new Error("expected an object with model, prompt, source and edits");
  if (value["version"] !== 1) throw new Error("'version' should be 1");
  const { edits, dtype } = value;
  if (!Array.isArray(edits) || edits.length > MOST_EDITS) {
    throw new Error(`'edits' should be a list of at most ${MOST_EDITS}`);
  }
  if (dtype !== undefined && dtype !== "float16") throw new Error("'dtype' should be float16 or left out");
  return {
    version: 1,
    model: readText(value, "model"),
    ...(dtype === undefined ? {} : { dtype }),
    prompt: readText(value, "prompt"),
    source: readText(value, "source"),
    edits: edits.map(readEdit),
  };
}

/** An experiment as JSON for people. */
export function writeExperiment(experiment: Experiment): string {
  return `${JSON.stringify(experiment, null, 2)}\n`;
}

/** The part of a link behind `#`, in base64url. */
export function toHash(experiment: Experiment): string {
  const bytes = new TextEncoder().encode(JSON.stringify(experiment));
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The experiment of a link; throws for one that is damaged. */
export function fromHash(hash: string): Experiment {
  let json: string;
  try {
    const text = atob(hash.replace(/^#/, "").replaceAll("-", "+").replaceAll("_", "/"));
    json = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  } catch {
    throw new Error("the link is damaged");
  }
  return readExperiment(json);
}
