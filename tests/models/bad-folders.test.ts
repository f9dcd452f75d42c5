// Folders that are no models, or hostile: each is an error with a stable code, and what was loaded before still works.

import { mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { HookedTransformer } from "../../ts/index.ts";
import { values } from "../hooks/toy.ts";
import { put, safetensors, TINY, withCopy } from "./folders.ts";

const good = await HookedTransformer.fromPretrained(TINY);
const before = values(good.forward([1, 2, 3]));
const config: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(join(TINY, "config.json"), "utf8"));
const weights = readFileSync(join(TINY, "model.safetensors"));
const headerSize = Number(weights.readBigUInt64LE(0));
const names = Object.keys(JSON.parse(weights.toString("utf8", 8, 8 + headerSize))).filter(
  (name) => name !== "__metadata__",
);

type Damage = readonly [name: string, damage: (folder: string) => void, code: string];

afterEach(() => expect(values(good.forward([1, 2, 3]))).toEqual(before));

function check(_name: string, damage: (folder: string) => void, code: string): Promise<void> {
  return withCopy(async (folder) => {
    damage(folder);
    await expect(HookedTransformer.fromPretrained(folder)).rejects.toMatchObject({
      name: expect.stringMatching(/Error$/),
      code,
    });
  });
}

test("the undamaged copy loads", () =>
  withCopy(async (folder) => {
    const model = await HookedTransformer.fromPretrained(folder);
    expect(values(model.forward([1, 2, 3]))).toEqual(before);
  }));

describe("paths", () => {
  test.each<readonly [name: string, path: unknown, code: string]>([
    ["that are not there", "/nowhere/at/all", "missing_file"],
    ["that are empty", "", "missing_file"],
    ["of files", join(TINY, "config.json"), "missing_file"],
    ["of devices", "/dev/zero", "missing_file"],
    ["with a zero byte", "a\0b", "missing_file"],
    ["of built-in models that are none", "builtin:huge", "missing_file"],
    ["that are no text", 3, "invalid_argument"],
    ["that are nothing", undefined, "invalid_argument"],
  ])("%s", async (_name, path, code) => {
    await expect(HookedTransformer.fromPretrained(path as string)).rejects.toMatchObject({ code });
  });

  test("that look like names on a hub", async () => {
    await expect(HookedTransformer.fromPretrained("gpt2")).rejects.toThrow(
      /hub are not supported yet.*builtin:tiny/,
    );
  });

  test("of empty folders", () =>
    withCopy(async (folder) => {
      const empty = join(folder, "empty");
      mkdirSync(empty);
      await expect(HookedTransformer.fromPretrained(empty)).rejects.toMatchObject({ code: "missing_file" });
    }));

  test.each<readonly [name: string, options: unknown, code: string]>([
    ["null", null, "invalid_argument"],
    ["misspelt", { dtyp: "float32" }, "invalid_argument"],
    ["integer weights", { dtype: "int64" }, "wrong_dtype"],
    ["a device that is none", { device: "tpu" }, "device_unavailable"],
    ["a tokenizer that is none", { tokenizer: "gpt2" }, "invalid_argument"],
  ])("with options: %s", async (_name, options, code) => {
    await expect(HookedTransformer.fromPretrained(TINY, options as object)).rejects.toMatchObject({ code });
  });
});

describe("what else a folder has", () => {
  const eos = (eos_token_id: unknown) => (folder: string) =>
    put(folder, "generation_config.json", { eos_token_id });
  test.each<Damage>([
    ["an end of sequence that is text", eos("</s>"), "invalid_file"],
    ["an end of sequence with a fraction", eos(1.5), "invalid_file"],
    ["ends of sequence of which one is none", eos([1, null]), "invalid_file"],
    ["a tokenizer that is a folder", (folder) => replaceByFolder(folder, "tokenizer.json"), "invalid_file"],
  ])("%s", check);

  test("the key is named", () =>
    withCopy(async (folder) => {
      eos({})(folder);
      const loading = HookedTransformer.fromPretrained(folder);
      await expect(loading).rejects.toThrow(/generation_config.json: eos_token_id: expected a token id/);
    }));

  test.each([[null], [-1], [[]], [[1, 2]]])("an end of sequence may be %j", (id) =>
    withCopy(async (folder) => {
      eos(id)(folder);
      await expect(HookedTransformer.fromPretrained(folder)).resolves.toBeInstanceOf(HookedTransformer);
    }),
  );

  test("a tokenizer larger than the limit, which can be raised", () =>
    withCopy(async (folder) => {
      const loading = HookedTransformer.fromPretrained(folder, { maxTokenizerBytes: 1000 });
      await expect(loading).rejects.toThrow(/tokenizer.json: has \d+ bytes, more than the limit of 1000/);
      const model = await HookedTransformer.fromPretrained(folder, { maxTokenizerBytes: 1e9 });
      expect(model.tokenizer).not.toBeNull();
    }));
});

function replaceByFolder(folder: string, file: string): void {
  rmSync(join(folder, file));
  mkdirSync(join(folder, file));
}

describe("config.json", () => {
  const file = "config.json";
  const changed = (change: object) => (folder: string) => put(folder, file, { ...config, ...change });
  test.each<Damage>([
    ["missing", (folder) => rmSync(join(folder, file)), "missing_file"],
    ["no JSON", (folder) => put(folder, file, "hello"), "invalid_file"],
    ["empty", (folder) => put(folder, file, ""), "invalid_file"],
    ["a list", (folder) => put(folder, file, []), "unsupported_config"],
    ["null", (folder) => put(folder, file, null), "unsupported_config"],
    ["truncated", (folder) => put(folder, file, JSON.stringify(config).slice(0, 60)), "invalid_file"],
    ["nested without end", (folder) => put(folder, file, "[".repeat(200_000)), "invalid_file"],
    [
      "with a key twice",
      (folder) => put(folder, file, '{"model_type":"gpt2","n_layer":4,"n_layer":2}'),
      "invalid_file",
    ],
    ["bytes", (folder) => put(folder, file, Buffer.from([0xff, 0xfe, 0, 1])), "invalid_file"],
    [
      "a folder",
      (folder) => {
        rmSync(join(folder, file));
        mkdirSync(join(folder, file));
      },
      "invalid_file",
    ],
    [
      "of another architecture",
      changed({ architectures: ["Bogus"], model_type: "bogus" }),
      "unsupported_architecture",
    ],
    ["with text for a number", changed({ n_layer: "4" }), "unsupported_config"],
    ["with a trillion layers", changed({ n_layer: 1e12 }), "unsupported_config"],
    ["with a negative width", changed({ n_embd: -1 }), "unsupported_config"],
    ["with no heads", changed({ n_head: 0 }), "unsupported_config"],
    ["with a vocabulary beyond all memory", changed({ vocab_size: 2 ** 50 }), "unsupported_config"],
    ["with a layer more than there is", changed({ n_layer: 5 }), "weight_mismatch"],
    ["with a layer less than there is", changed({ n_layer: 3 }), "weight_mismatch"],
    ["with another width", changed({ n_embd: 64 }), "weight_mismatch"],
  ])("%s", check);
});

describe("model.safetensors", () => {
  const file = "model.safetensors";
  const one = (tensor: object) => (folder: string) =>
    put(folder, file, safetensors({ "transformer.wte.weight": tensor }, 16));
  const claims = (length: bigint) => (folder: string) => {
    const lying = Buffer.from(weights);
    lying.writeBigUInt64LE(length);
    put(folder, file, lying);
  };
  test.each<Damage>([
    ["missing", (folder) => rmSync(join(folder, file)), "missing_file"],
    [
      "missing, beside a pickle",
      (folder) => {
        rmSync(join(folder, file));
        put(folder, "pytorch_model.bin", "PK");
      },
      "missing_file",
    ],
    [
      "a Git LFS pointer",
      (folder) => put(folder, file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
      "invalid_file",
    ],
    ["of zero bytes", (folder) => put(folder, file, ""), "invalid_file"],
    ["of seven bytes", (folder) => put(folder, file, weights.subarray(0, 7)), "invalid_file"],
    ["cut in its header", (folder) => put(folder, file, weights.subarray(0, 100)), "invalid_file"],
    ["cut in its data", (folder) => put(folder, file, weights.subarray(0, -1000)), "invalid_file"],
    ["too long", (folder) => put(folder, file, Buffer.concat([weights, Buffer.alloc(9)])), "invalid_file"],
    ["claiming a header of exabytes", claims(2n ** 63n), "invalid_file"],
    ["claiming the longest header", claims(2n ** 64n - 1n), "invalid_file"],
    ["with a header that is no JSON", (folder) => put(folder, file, safetensors("nope")), "invalid_file"],
    ["without tensors", (folder) => put(folder, file, safetensors({})), "weight_mismatch"],
    [
      "with a shape beyond all memory",
      one({ dtype: "F32", shape: [2 ** 40, 2 ** 40], data_offsets: [0, 16] }),
      "invalid_file",
    ],
    ["with a range backwards", one({ dtype: "F32", shape: [4], data_offsets: [16, 0] }), "invalid_file"],
    ["with a range outside", one({ dtype: "F32", shape: [4], data_offsets: [99, 115] }), "invalid_file"],
    ["with a negative range", one({ dtype: "F32", shape: [4], data_offsets: [-16, 0] }), "invalid_file"],
    ["with a shape that lies", one({ dtype: "F32", shape: [5], data_offsets: [0, 16] }), "invalid_file"],
    ["with an unknown dtype", one({ dtype: "Q9", shape: [4], data_offsets: [0, 16] }), "invalid_file"],
    ["with integers", one({ dtype: "I32", shape: [4], data_offsets: [0, 16] }), "weight_mismatch"],
  ])("%s", check);
});

describe("shards", () => {
  const index = (content: unknown) => (folder: string) => {
    rmSync(join(folder, "model.safetensors"));
    put(folder, "model.safetensors.index.json", content);
  };
  const all = (shard: unknown) => ({ weight_map: Object.fromEntries(names.map((name) => [name, shard])) });
  test.each<Damage>([
    ["missing", index(all("model-00001-of-00002.safetensors")), "missing_file"],
    ["outside the folder", index(all("../other/model.safetensors")), "invalid_file"],
    ["at absolute paths", index(all("/etc/passwd")), "invalid_file"],
    ["that are numbers", index(all(3)), "invalid_file"],
    ["of an index that is no JSON", index("nope"), "invalid_file"],
    ["of an index that is a list", index([]), "invalid_file"],
    ["of an index without a map", index({}), "invalid_file"],
    [
      "behind a link that leads outside",
      (folder) => {
        index(all("shard.safetensors"))(folder);
        symlinkSync(join(TINY, "model.safetensors"), join(folder, "shard.safetensors"));
      },
      "invalid_file",
    ],
    [
      "that lack what the index says",
      (folder) => {
        index(all("shard.safetensors"))(folder);
        put(folder, "shard.safetensors", safetensors({}));
      },
      "weight_mismatch",
    ],
  ])("%s", check);
});

describe("tokenizer.json", () => {
  const file = "tokenizer.json";
  test.each<Damage>([
    ["no JSON", (folder) => put(folder, file, "nope"), "invalid_file"],
    ["a list", (folder) => put(folder, file, []), "invalid_file"],
    ["without a model", (folder) => put(folder, file, {}), "invalid_file"],
    ["with a configuration cut off", (folder) => put(folder, "tokenizer_config.json", "{"), "invalid_file"],
  ])("%s", check);

  test("missing: the model loads and takes ids only", () =>
    withCopy(async (folder) => {
      rmSync(join(folder, file));
      const model = await HookedTransformer.fromPretrained(folder);
      expect(values(model.forward([1, 2, 3]))).toEqual(before);
      expect(() => model.forward("text")).toThrow(expect.objectContaining({ code: "tokenizer_required" }));
    }));
});
