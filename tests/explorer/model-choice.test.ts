// From what people type and links say to where a model is.

import { describe, expect, test } from "vitest";
import {
  addressOf,
  describeModel,
  isElsewhere,
  isLocal,
  localName,
  megabytes,
  normalizedModel,
} from "../../explorer/src/model-choice.ts";

const PAGE = "https://pages.example/explorer/";

describe("an address", () => {
  test.each([
    ["openai-community/gpt2", "https://huggingface.co/openai-community/gpt2/resolve/main/"],
    [" https://huggingface.co/a/b.c-2 ", "https://huggingface.co/a/b.c-2/resolve/main/"],
    ["https://huggingface.co/a/b/tree/v1", "https://huggingface.co/a/b/resolve/v1/"],
    ["https://huggingface.co/a/b/blob/main/config.json", "https://huggingface.co/a/b/resolve/main/"],
    ["https://huggingface.co/a/b/resolve/main/", "https://huggingface.co/a/b/resolve/main/"],
    ["https://example.org/gpt2", "https://example.org/gpt2/"],
    ["https://example.org/gpt2/model.safetensors?key=1#part", "https://example.org/gpt2/?key=1"],
    ["http://localhost:8000/gpt2/", "http://localhost:8000/gpt2/"],
    ["./gpt2", "https://pages.example/explorer/gpt2/"],
    ["/models/gpt2", "https://pages.example/models/gpt2/"],
    ["../models/gpt2/config.json", "https://pages.example/models/gpt2/"],
  ])("%s", (text, expected) => {
    expect(addressOf(text, PAGE)).toBe(expected);
    expect(addressOf(expected, PAGE)).toBe(expected);
  });

  test.each([
    ["", /no address yet/],
    ["ftp://example.org/gpt2", /not with ftp:/],
    ["javascript:alert(1)", /not with javascript:/],
    ["https://", /is no address/],
  ])("%j is none", (text, message) => {
    expect(() => addressOf(text, PAGE)).toThrow(message);
  });
});

describe("a model", () => {
  test("of a link is built in, of a device, or at an address", () => {
    expect(normalizedModel("builtin:tiny", PAGE)).toBe("builtin:tiny");
    expect(normalizedModel("local:gpt2", PAGE)).toBe("local:gpt2");
    expect(normalizedModel("https://example.org/gpt2", PAGE)).toBe("https://example.org/gpt2/");
    expect(() => normalizedModel("data:text/plain,x", PAGE)).toThrow();
    // No other model is built in, and a name that looks like one leads nowhere.
    expect(() => normalizedModel("builtin:gpt5", PAGE)).toThrow();
  });

  test("is elsewhere only on another site", () => {
    expect(isElsewhere("builtin:tiny", PAGE)).toBe(false);
    expect(isElsewhere("local:https://example.org", PAGE)).toBe(false);
    expect(isElsewhere("https://pages.example/gpt2/", PAGE)).toBe(false);
    expect(isElsewhere("https://example.org/gpt2/", PAGE)).toBe(true);
    expect(isElsewhere("http://pages.example/gpt2/", PAGE)).toBe(true);
  });

  test("has a name for people", () => {
    expect(isLocal(localName(""))).toBe(true);
    expect(describeModel(localName("gpt2"))).toBe("gpt2 (of this device)");
    expect(describeModel(addressOf("a/b", PAGE))).toBe("huggingface.co/a/b");
    expect(describeModel("https://example.org/gpt2/")).toBe("example.org/gpt2");
    expect([5e5, 5.48e8, 6e9].map(megabytes)).toEqual(["0.5 MB", "548 MB", "6.00 GB"]);
  });
});
