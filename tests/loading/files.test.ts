/** Models from files that a program holds: as a page gets them from a drop, a file input or a directory handle. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type DirectoryHandle, HookedTransformer } from "../../ts/index.ts";
import { failure } from "./failure.ts";
import { expectSame, FOLDERS } from "./same-model.ts";
import { GOLDEN, MODELS } from "./server.ts";

/** The files of a folder, with paths as a file input for folders gives them if `prefix` is given. */
function filesOf(folder: string, prefix = ""): File[] {
  return readdirSync(folder)
    .filter((name) => statSync(join(folder, name)).isFile())
    .map((name) => {
      const file = new File([readFileSync(join(folder, name))], name);
      return prefix === "" ? file : Object.assign(file, { webkitRelativePath: `${prefix}/${name}` });
    });
}

function missing(): Error {
  return new DOMException("no such entry", "NotFoundError");
}

/** A directory handle over files by path. */
function handleOf(name: string, files: ReadonlyMap<string, File>): DirectoryHandle {
  return {
    kind: "directory",
    name,
    getDirectoryHandle: async (child) => {
      const below = [...files].filter(([path]) => path.startsWith(`${child}/`));
      if (below.length === 0) throw missing();
      return handleOf(child, new Map(below.map(([path, file]) => [path.slice(child.length + 1), file])));
    },
    getFileHandle: async (child) => {
      const file = files.get(child);
      if (file === undefined) throw missing();
      return { getFile: async () => file };
    },
  };
}

test("every fixture is what it is in its folder", async () => {
  let loaded = 0;
  for (const [i, name] of FOLDERS.entries()) {
    const folder = join(GOLDEN, name);
    const files = filesOf(folder, i % 2 === 0 ? "some/folder" : "");
    const handle = handleOf("folder", new Map(filesOf(folder).map((file) => [file.name, file])));
    if (await expectSame(folder, i % 3 === 0 ? handle : files)) loaded++;
  }
  expect(loaded).toBeGreaterThan(12);
});

test("a list as a file input has it, with blocks left out and a tokenizer", async () => {
  const files = filesOf(join(MODELS, "tiny"), "tiny");
  const list = Object.assign({ length: files.length }, files);
  expect(await expectSame("builtin:tiny", list, { firstNLayers: 1, dtype: "float64" })).toBe(true);
});

test("a checkpoint whose shards are in a folder of their own", async () => {
  const folder = join(GOLDEN, "gpt2_sharded");
  const files = new Map(
    filesOf(folder).map((file) => {
      const isShard = file.name.endsWith(".safetensors");
      return [isShard ? `weights/${file.name}` : file.name, file];
    }),
  );
  const index: { weight_map: Record<string, string> } = JSON.parse(
    readFileSync(join(folder, "model.safetensors.index.json"), "utf8"),
  );
  const map = Object.entries(index.weight_map).map(([name, shard]) => [name, `weights/${shard}`]);
  const text = JSON.stringify({ weight_map: Object.fromEntries(map) });
  files.set("model.safetensors.index.json", new File([text], "model.safetensors.index.json"));
  expect(await expectSame(folder, handleOf("sharded", files))).toBe(true);
});

describe("what goes wrong", () => {
  test("files of no model, of two models, and none", async () => {
    expect((await failure(HookedTransformer.fromPretrained([]))).code).toBe("missing_file");
    const other = new File(["{}"], "package.json");
    const none = await failure(HookedTransformer.fromPretrained([other]));
    expect([none.code, none.message]).toEqual(["missing_file", expect.stringContaining("package.json")]);
    const two = [
      ...filesOf(join(MODELS, "tiny"), "models/tiny"),
      ...filesOf(join(MODELS, "induction"), "models/induction"),
    ];
    const both = await failure(HookedTransformer.fromPretrained(two));
    expect([both.code, both.message]).toEqual([
      "invalid_argument",
      expect.stringContaining("models/tiny/, models/induction/"),
    ]);
  });

  test("weights that are not among the files", async () => {
    const files = filesOf(join(MODELS, "tiny")).filter(({ name }) => name !== "model.safetensors");
    const error = await failure(HookedTransformer.fromPretrained(files));
    expect([error.code, error.message]).toEqual([
      "missing_file",
      expect.stringContaining("model.safetensors"),
    ]);
  });

  test("a file that ends early, or is removed while it is read", async () => {
    const files = filesOf(join(GOLDEN, "gpt2"));
    const at = files.findIndex(({ name }) => name === "model.safetensors");
    const whole = files[at] as File;
    const cut = new File([whole.slice(0, whole.size - 9)], whole.name);
    expect((await failure(HookedTransformer.fromPretrained(files.with(at, cut)))).code).toBe("invalid_file");
    const gone = Object.assign(new File([whole], whole.name), {
      slice: (start: number) => ({
        stream: () =>
          new ReadableStream<Uint8Array>({
            async pull(controller) {
              if (start === 0) controller.enqueue(new Uint8Array(await whole.slice(0, 40_000).arrayBuffer()));
              throw new DOMException("the file could not be read", "NotReadableError");
            },
          }),
      }),
    });
    const error = await failure(HookedTransformer.fromPretrained(files.with(at, gone)));
    expect([error.code, error.message]).toEqual([
      "invalid_file",
      expect.stringContaining("changed or removed"),
    ]);
  });

  test("a folder that the browser does not let be read", async () => {
    const refused = handleOf("folder", new Map());
    const handle: DirectoryHandle = {
      ...refused,
      getFileHandle: async () => {
        throw new DOMException("not allowed", "NotAllowedError");
      },
    };
    const error = await failure(HookedTransformer.fromPretrained(handle));
    expect([error.code, error.message]).toEqual(["missing_file", expect.stringContaining("not allowed")]);
  });
});
