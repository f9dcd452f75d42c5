import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { ExplainReport } from "../../ts/analysis/explain-report.ts";
import { explainPicture, type Progress } from "../../ts/index.ts";
import { CLIENT_SCRIPT } from "../../ts/viz/client-script.ts";
import { sampleReport } from "../support/sample-report.ts";

/** A report of made-up numbers for a model and a prompt of any size. */
function reportOf(layers: number, heads: number, length: number, shown = length): ExplainReport {
  const sample = sampleReport();
  const tokens = Array.from({ length }, (_, position) => ({
    position,
    id: position,
    text: ` word${position}`,
  }));
  const positions = tokens.slice(-shown).map(({ position }) => position);
  const noise = (seed: number) => Math.abs(Math.sin(seed * 12.9898) * 43758.5453) % 1;
  const pattern = (seed: number) =>
    positions.map((_, q) => {
      const row = positions.map((_, k) => (k > q ? 0 : noise(seed + q * 31 + k) ** 3));
      const sum = row.reduce((a, b) => a + b, 0);
      return row.map((share) => share / (sum || 1));
    });
  const candidate = { id: 1, text: " best", logit: 3, probability: 0.5 };
  return {
    ...sample,
    model: { ...sample.model, nLayers: layers, nHeads: heads },
    tokens,
    logitLens: Array.from({ length: layers + 1 }, (_, blocks) => ({
      hook: `blocks.${blocks}.hook_resid_pre`,
      blocks,
      top: [candidate, candidate, candidate],
      answer: { probability: 0.5, logit: 3, rank: 0 },
      best: tokens.map(() => candidate),
    })),
    headAblation: {
      baseline: 3,
      effects: Array.from({ length: layers }, (_, l) =>
        Array.from({ length: heads }, (_, h) => noise(l * heads + h) - 0.5),
      ),
    },
    patterns: {
      positions,
      shares: Array.from({ length: layers }, (_, l) =>
        Array.from({ length: heads }, (_, h) => pattern(l * heads + h)),
      ),
    },
    residualNorms: {
      hooks: Array.from({ length: layers + 1 }, (_, l) => `blocks.${l}`),
      values: Array.from({ length: layers + 1 }, (_, l) => tokens.map(() => l + 1)),
    },
    attribution: { hook: "hook_embed", values: tokens.map((_, i) => noise(i) - 0.5) },
  };
}

const bytes = (text: string) => Buffer.byteLength(text, "utf8");

describe("the page of an explanation", () => {
  const page = explainPicture(sampleReport()).toPage();

  test("has every part", () => {
    for (const part of ["next", "attribution", "lens", "ablation", "attention", "norms"]) {
      expect(page).toContain(`id="${part}"`);
      expect(page).toContain(`href="#${part}"`);
    }
    expect(page.match(/<h1>/g)).toHaveLength(1);
    expect(page).toMatch(/^<!DOCTYPE html>\n<html lang="en">/);
    expect(page).toContain('name="viewport"');
    expect(page).toContain("prefers-color-scheme:dark");
  });

  test("has the numbers of the report", () => {
    for (const text of ["61.0 %", "−2.00", "+0.50", "−0.25", "+0.13", "+8.20"]) expect(page).toContain(text);
    expect(page.match(/role="radio" aria-checked="(true|false)" aria-label="L\dH\d/g)).toHaveLength(6);
    expect(page).toContain('aria-checked="true" aria-label="L0H0, answer’s logit −2.00 without it"');
  });

  test("tells how many levels of detail were tried", () => {
    const seen: Progress[] = [];
    const onProgress = (progress: Progress) => seen.push(progress);
    explainPicture(sampleReport(), { onProgress });
    const total = seen[0]?.total ?? 0;
    expect(total).toBeGreaterThan(2);
    expect(seen).toEqual([0, total].map((done) => ({ done, total })));
    seen.length = 0;
    explainPicture(reportOf(12, 12, 100), { onProgress });
    expect(seen.length).toBeGreaterThan(2);
    expect(seen).toEqual([...seen.slice(0, -1).map((_, done) => ({ done, total })), { done: total, total }]);
    expect(() => explainPicture(sampleReport(), { onProgress: 3 as never })).toThrow("onProgress");
  });

  test("asks nothing of any network, and forbids it", () => {
    expect(page).not.toMatch(/https?:|\/\/[a-z]|url\(|@import|<link|<img|<iframe|src=/i);
    expect(page).toContain("default-src &#39;none&#39;");
  });

  test("allows its own script and no other", () => {
    const hash = createHash("sha256").update(CLIENT_SCRIPT).digest("base64");
    expect(page).toContain(`script-src &#39;sha256-${hash}&#39;`);
    expect(page.match(/<script/g)).toHaveLength(1);
    expect(page).toContain(`<script>${CLIENT_SCRIPT}</script>`);
  });
});

describe("hostile text stays text", () => {
  const hostile = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<!--",
    "]]>",
    "</style><b>",
    "&lt;",
    "\u202e",
    "\ud800",
    "\u0000",
    "x".repeat(5000),
  ];

  test("in tokens, the answer and the model's name", () => {
    const sample = sampleReport();
    const tokens = hostile.map((text, position) => ({ position, id: position, text }));
    const base = reportOf(2, 3, hostile.length);
    for (const text of hostile) {
      const candidate = { id: 9, text, logit: 1, probability: 0.5 };
      const page = explainPicture({
        ...base,
        tokens,
        model: { ...sample.model, name: text },
        next: [candidate],
        answer: { ...sample.answer, text },
        logitLens: base.logitLens.map((row) => ({
          ...row,
          top: [candidate],
          best: tokens.map(() => candidate),
        })),
      }).toPage();
      expect(page.match(/<script/g)).toHaveLength(1);
      expect(page.match(/<style/g)).toHaveLength(1);
      expect(page).not.toMatch(/<img|<b>"|<!--|\u202e|\0/);
      // Attributes with values are quoted, so a token cannot add one.
      expect(page.replace(/"[^"]*"/g, '""')).not.toMatch(/<[^>]*\son[a-z]+=/);
      expect(bytes(page)).toBeLessThan(300_000);
    }
  });
});

describe("the page keeps to its size, and says what is not there", () => {
  test.each([
    ["a small model", 4, 4, 17, 17],
    ["a full context of the built-in model", 4, 4, 128, 128],
    ["GPT-2 small, a sentence", 12, 12, 30, 30],
    ["GPT-2 small, a long prompt", 12, 12, 1024, 128],
    ["GPT-2 XL", 48, 25, 200, 64],
    ["a large model", 80, 64, 32, 32],
    ["the deepest model, a long prompt", 128, 64, 1000, 64],
    ["the deepest model, one token", 128, 64, 1, 1],
    ["one layer of many heads", 1, 64, 1000, 128],
    ["one layer", 1, 1, 1000, 128],
  ])("%s", (_, layers, heads, length, shown) => {
    const report = reportOf(layers, heads, length, shown);
    const page = explainPicture(report).toPage();
    expect(bytes(page)).toBeLessThan(300_000);
    const viewers = page.match(/data-head="\d+\.\d+" data-p/g) ?? [];
    if (viewers.length < layers * heads)
      expect(page).toContain(`of ${layers * heads} heads that matter most`);
    const rows = /<p class="strip".*?<\/p>/s.exec(page)?.[0].match(/<button/g) ?? [];
    if (rows.length < length) expect(page).toContain(`${rows.length - 1} of ${length} positions`);
    expect(rows.length).toBeGreaterThanOrEqual(Math.min(16, length));
  });

  test("layers that there is no room for, from the first to the last", () => {
    const page = explainPicture(reportOf(128, 4, 100, 16)).toPage();
    expect(page).toMatch(/Shown are \d+ of 129 rows/);
    const lens = /<section id="lens">.*?<\/section>/s.exec(page)?.[0] ?? "";
    expect(lens).toContain('<th scope="row">embedding');
    expect(lens).toContain('<th scope="row">block 127');
  });

  test.each([
    ["quotes", '"'.repeat(50)],
    ["controls", "\u0001".repeat(50)],
  ])("tokens of nothing but %s", (_, text) => {
    const report = reportOf(128, 64, 1000, 24);
    const candidate = { id: 1, text, logit: 3, probability: 0.5 };
    const page = explainPicture({
      ...report,
      model: { ...report.model, name: text.repeat(10_000) },
      tokens: report.tokens.map((token) => ({ ...token, text })),
      next: Array.from({ length: 1000 }, (_, id) => ({ ...candidate, id })),
      logitLens: report.logitLens.map((row) => ({
        ...row,
        top: [candidate, candidate, candidate],
        best: row.best.map(() => candidate),
      })),
    }).toPage();
    expect(bytes(page)).toBeLessThan(300_000);
  });

  test("the key to the attribution's colours is that of the tokens that are shown", () => {
    const report = reportOf(2, 2, 362);
    const values = report.tokens.map((_, i) => (i === 0 ? 50 : i === 361 ? -0.0421 : 0.01));
    const page = explainPicture(
      { ...report, attribution: { hook: "hook_embed", values } },
      { maxBytes: 1 },
    ).toPage();
    const [section = ""] = /<section id="attribution">.*?<details/s.exec(page) ?? [];
    expect(section).toContain("Shown are the last");
    expect(section).toContain("lowers −0.0421");
    expect(section).toContain("+0.0421 raises");
    expect(section).toMatch(/class="?n5"?>[^<]*(<i>.<\/i>)?word361<small>−0\.0421/);
  });

  test("a size that nothing fits gives the least page", () => {
    expect(bytes(explainPicture(reportOf(128, 64, 200, 24), { maxBytes: 1 }).toPage())).toBeLessThan(60_000);
  });

  test("numbers that are none are shown as such", () => {
    const report = reportOf(1, 1, 3);
    const page = explainPicture({
      ...report,
      attribution: { hook: "hook_embed", values: [Number.NaN, 1, 2] },
      headAblation: { baseline: Number.NaN, effects: [[Number.NaN]] },
      patterns: {
        positions: [0, 1, 2],
        shares: [
          [
            [
              [Number.NaN, 0, 0],
              [0, 1, 0],
              [0, 0, 1],
            ],
          ],
        ],
      },
    }).toPage();
    expect(page).toContain("<td class=nan>NaN");
  });
});

test("the report of a prompt of one token is a page", () => {
  expect(explainPicture(reportOf(1, 1, 1)).toPage()).toContain("Residual norms");
});

test("pictures need neither Node nor a DOM", () => {
  const visited = new Set<string>();
  const visit = (file: string) => {
    if (visited.has(file)) return;
    visited.add(file);
    const text = readFileSync(file, "utf8");
    for (const [line, name = ""] of text.matchAll(/^(?:import|export)[^;]*?from "([^"]+)";/gm)) {
      if (line.startsWith("import type") || line.startsWith("export type")) continue;
      expect(name, `${file} imports ${name}`).toMatch(/^\./);
      visit(new URL(name, `file://${file}`).pathname);
    }
  };
  visit(new URL("../../ts/viz/index.ts", import.meta.url).pathname);
  expect(visited.size).toBeGreaterThan(15);
});
