/** What is said where there is no answer: pages are told nothing but that a request failed, so causes are named. */

import { afterEach, describe, expect, test } from "vitest";
import { HookedTransformer } from "../../ts/index.ts";
import { noAnswer } from "../../ts/platform/no-answer.ts";
import { nodePlatform } from "../../ts/platform/node.ts";
import { installPlatform } from "../../ts/platform/platform.ts";
import { failure } from "./failure.ts";

afterEach(() => installPlatform(nodePlatform));
const from = (page: string | null) => installPlatform({ ...nodePlatform, pageUrl: () => page });

describe("a request that fails", () => {
  test("in Node or to the page's own site has no connection", () => {
    expect(noAnswer("http://example.org/gpt2/config.json")).toBe("there is no connection");
    from("https://example.org/page/");
    expect(noAnswer("https://example.org/gpt2/config.json")).toBe("there is no connection");
    expect(noAnswer("/gpt2/config.json")).toBe("there is no connection");
  });

  test("of a page by https: to http: was blocked", () => {
    from("https://pages.example/a/");
    expect(noAnswer("http://pages.example/gpt2/")).toMatch(
      /from https: may not read from http:.*connect-src/,
    );
  });

  test("to another site may lack its permission", async () => {
    from("https://pages.example/a/");
    const fetch = async () => {
      throw new TypeError("Failed to fetch");
    };
    const loading = HookedTransformer.fromPretrained("https://example.org/gpt2", { cache: false, fetch });
    const error = await failure(loading);
    expect([error.code, error.details]).toEqual([
      "download_failed",
      expect.objectContaining({ attempts: 4 }),
    ]);
    expect(error.message).toMatch(
      /^https:\/\/example.org\/gpt2\/[\w.]+: there is no connection, or the server /,
    );
    expect(error.message).toMatch(/pages of https:\/\/pages\.example .*CORS: .*access-control-allow-origin/);
    expect(error.message).toMatch(/connect-src \(Failed to fetch\)$/);
  });
});
