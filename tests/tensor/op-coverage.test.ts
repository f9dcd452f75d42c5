import { expect, test } from "vitest";
import { engine } from "../../ts/engine/current.ts";
import * as hooklens from "../../ts/index.ts";

/** Operations whose public name is not their own in camelCase. */
const RENAMED: Readonly<Record<string, string>> = {
  index: "get",
  index_put: "at",
  einops_repeat: "repeatPattern",
};

test("every operation of the engine is a method of Tensor or a function", () => {
  const missing = engine()
    .ops()
    .map(
      ({ name }) => RENAMED[name] ?? name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    )
    .filter((name) => !(name in hooklens.Tensor.prototype) && !(name in hooklens));
  expect(missing).toEqual([]);
});
