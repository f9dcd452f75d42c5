/** Models of a worker: the methods of `HookedTransformer` as promises. */

import type { CachingOptions } from "../hooks/caching.ts";
import type { Intervention, InterventionSpec } from "../hooks/interventions.ts";
import type { Glob, NameOf, Recorded } from "../hooks/names.ts";
import type { AsyncOptions, ForwardOptions, ForwardOutput, ReturnType } from "../models/forward-options.ts";
import type {
  GenerateOptions,
  GenerateOutput,
  GenerateReturn,
  GenerateStreamOptions,
  GenerationStep,
} from "../models/generate-options.ts";
import type { TransformerConfig } from "../models/transformer-config.ts";
import type { TransformerKeys, TransformerPoints } from "../models/transformer-points.ts";
import type { TokenPositionOptions, ToTokensOptions } from "../models/transformer-text.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Ids } from "../text/batch.ts";
import type { Control, Line } from "./line.ts";
import type { ModelWire } from "./protocol.ts";
import { Remote } from "./remote.ts";
import type { RemoteCache } from "./remote-cache.ts";
import type { Remotely, RemoteTensor } from "./remote-tensor.ts";
import type { ModuleFunction } from "./worker-hook.ts";

/** A tensor of the worker, or one of the page, which is copied there. */
export type AnyTensor = RemoteTensor | Tensor;

/** Text, several texts, token ids, or a tensor of them. */
export type RemoteInput = string | readonly string[] | Ids | AnyTensor;

/** An intervention as data, with the tensors that it refers to by number. */
export type RemoteSpec = InterventionSpec & {
  /** What the numbers of tensors in the data refer to. */
  readonly tensors?: readonly AnyTensor[];
};

/** What can be attached to a point of a worker's model: an edit, as an object or as data, or a function of a module. */
export type RemoteHook = Intervention | RemoteSpec | ModuleFunction;

type OneOrMore<T> = T | readonly T[];

/** Hooks by the names of their points, or pairs in the order in which they are attached. */
export type RemoteHooks<P = TransformerPoints> =
  | { readonly [Name in NameOf<P> | Glob]?: OneOrMore<RemoteHook> }
  | readonly (readonly [target: NameOf<P> | Glob | RegExp, hook: OneOrMore<RemoteHook>])[];

/** Which hooks to attach. */
export interface RemoteScopeOptions<P = TransformerPoints> {
  /** Attached to activations. */
  readonly fwdHooks?: RemoteHooks<P>;
  /** Attached to gradients. */
  readonly bwdHooks?: RemoteHooks<P>;
}

/** Which points a cache records: names, globs and expressions; functions cannot be sent. */
export type RemoteFilter<P = TransformerPoints> = null | OneOrMore<NameOf<P> | Glob | RegExp>;

type TensorOptions = "tokens" | "attentionMask" | "pastKvCache";

/** Options of `forward`. */
export interface RemoteForwardOptions<R extends ReturnType, Stop extends number | null>
  extends Omit<ForwardOptions<R, Stop>, TensorOptions>,
    AsyncOptions {
  /** Token ids for the loss of a run that starts from a residual stream. */
  readonly tokens?: AnyTensor | Ids | null;
  /** 1 for tokens and 0 for padding, `[batch, pos]`. */
  readonly attentionMask?: AnyTensor | readonly (readonly number[])[] | null;
}

/** What to record, and in which form. */
export interface RemoteCachingOptions<P = TransformerPoints, RemoveBatch extends boolean = boolean>
  extends Omit<CachingOptions<P, RemoveBatch>, "namesFilter"> {
  /**
   * Which points.
   * @default null: all that the reference records; points that cost extra work must be named
   */
  readonly namesFilter?: RemoteFilter<P>;
}

/** Options of `generateStream`. */
export interface RemoteStreamOptions extends Omit<GenerateStreamOptions, "attentionMask" | "outputLogits"> {
  /** 1 for tokens and 0 for padding before them, `[batch, pos]`, beside token ids. */
  readonly attentionMask?: AnyTensor | readonly (readonly number[])[];
}

/** Options of `generate`. */
export interface RemoteGenerateOptions<R extends GenerateReturn>
  extends Omit<GenerateOptions<R, false>, "attentionMask" | "outputLogits">,
    Pick<RemoteStreamOptions, "attentionMask"> {}

/** Something that goes on in a worker until this is disposed, such as hooks that stay attached. */
export class RemoteScope extends Remote {}

/** Takes apart what goes beside a call and what is sent. */
function parted<Options extends Control>(options: Options): [Omit<Options, keyof Control>, Control] {
  const { signal, onProgress, ...sent } = options;
  return [sent, { signal, onProgress }];
}

/**
 * A model in a worker. Its methods are those of `HookedTransformer`; tensors stay in the worker, and what is attached to
 * points is data or a function of a module.
 */
export class RemoteTransformer extends Remote {
  /** The model's configuration. */
  readonly cfg: TransformerConfig;
  /** The names of all its hook points. */
  readonly hookNames: readonly NameOf<TransformerPoints>[];
  /** Whether it reads and writes text. */
  readonly hasTokenizer: boolean;
  readonly #line: Line;

  /** @internal */
  constructor(line: Line, { id, cfg, hookNames, hasTokenizer }: ModelWire) {
    super(line, id);
    this.#line = line;
    this.cfg = cfg as TransformerConfig;
    this.hookNames = hookNames as readonly NameOf<TransformerPoints>[];
    this.hasTokenizer = hasTokenizer;
  }

  /** Runs the model, a block at a time: between blocks the worker hears of other calls, and the run can be aborted. */
  async forward<R extends ReturnType = "logits", Stop extends number | null = null>(
    input: RemoteInput,
    options: RemoteForwardOptions<R, Stop> = {},
  ): Promise<Remotely<ForwardOutput<R, Stop>>> {
    const [sent, control] = parted(options);
    return (await this.call("forward", [input, sent], control)) as Remotely<ForwardOutput<R, Stop>>;
  }

  /** {@link forward} with hooks that are gone afterwards, and that calls beside this one do not see. */
  async runWithHooks<R extends ReturnType = "logits", Stop extends number | null = null>(
    input: RemoteInput,
    options: RemoteForwardOptions<R, Stop> & RemoteScopeOptions = {},
  ): Promise<Remotely<ForwardOutput<R, Stop>>> {
    const [sent, control] = parted(options);
    return (await this.call("runWithHooks", [input, sent], control)) as Remotely<ForwardOutput<R, Stop>>;
  }

  /** {@link forward}, recording what passes the hook points; with `inclBwd` gradients of the loss too. */
  async runWithCache<
    R extends ReturnType = "logits",
    Stop extends number | null = null,
    RemoveBatch extends boolean = false,
  >(
    input: RemoteInput,
    options: RemoteForwardOptions<R, Stop> & RemoteCachingOptions<TransformerPoints, RemoveBatch> = {},
  ): Promise<
    [output: Remotely<ForwardOutput<R, Stop>>, cache: RemoteCache<Recorded<TransformerKeys, RemoveBatch>>]
  > {
    const [sent, control] = parted(options);
    return (await this.call("runWithCache", [input, sent], control)) as [
      Remotely<ForwardOutput<R, Stop>>,
      RemoteCache<Recorded<TransformerKeys, RemoveBatch>>,
    ];
  }

  /** Attaches hooks until what this gives is disposed. All calls see them. */
  async hooks(options: RemoteScopeOptions): Promise<RemoteScope> {
    return (await this.call("hooks", [options])) as RemoteScope;
  }

  /** Goes on from a prompt, a token at a time, and gives prompt and continuation together. */
  async generate<const I extends string | readonly string[] | Ids, R extends GenerateReturn = "input">(
    input: I,
    options: RemoteGenerateOptions<R> = {},
  ): Promise<Remotely<GenerateOutput<I, R, false>>> {
    const [sent, control] = parted(options);
    return (await this.call("generate", [input, sent], control)) as Remotely<GenerateOutput<I, R, false>>;
  }

  /** {@link generate} as it goes. Leaving the loop ends the generation. */
  async *generateStream(
    input: RemoteInput,
    options: RemoteStreamOptions = {},
  ): AsyncGenerator<GenerationStep, void, void> {
    const [sent, control] = parted(options);
    const { signal } = control;
    const stream = (await this.call("generateStream", [input, sent])) as Remote;
    try {
      while (true) {
        const step = await this.#line.call(stream, "next", [], control);
        signal?.throwIfAborted();
        if (step === null) return;
        yield step as GenerationStep;
      }
    } finally {
      stream.dispose();
    }
  }

  /** Token ids of texts, `[batch, pos]`. */
  async toTokens(input: string | readonly string[], options: ToTokensOptions = {}): Promise<RemoteTensor> {
    return (await this.call("toTokens", [input, options])) as RemoteTensor;
  }

  /** The text of each token. */
  async toStrTokens(input: string | readonly number[], options: ToTokensOptions = {}): Promise<string[]> {
    return (await this.call("toStrTokens", [input, options])) as string[];
  }

  /** The text of token ids; one for each row of several. */
  async decode(tokens: Ids | AnyTensor | number): Promise<string | string[]> {
    return (await this.call("decode", [tokens])) as string | string[];
  }

  /** The id of a text that is one token. Rejects with `not_single_token` if it is not. */
  async toSingleToken(text: string): Promise<number> {
    return (await this.call("toSingleToken", [text])) as number;
  }

  /** Where a token stands in a text. */
  async getTokenPosition(
    token: string | number,
    input: string | readonly number[],
    options: TokenPositionOptions = {},
  ): Promise<number> {
    return (await this.call("getTokenPosition", [token, input, options])) as number;
  }
}
