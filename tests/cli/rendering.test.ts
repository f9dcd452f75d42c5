import { describe, expect, test } from "vitest";
import { attentionPicture, strongestKeys } from "../../ts/cli/render/attention.ts";
import { attentionShade, bar, shade, signedBar } from "../../ts/cli/render/bars.ts";
import { renderExplain } from "../../ts/cli/render/explain.ts";
import { heatTable } from "../../ts/cli/render/heat.ts";
import { createStyle } from "../../ts/cli/render/style.ts";
import { clip, displayWidth, toWidth } from "../../ts/cli/render/token-label.ts";
import { percent, signed } from "../../ts/viz/numbers.ts";
import { tokenLabel } from "../../ts/viz/token-label.ts";
import { sampleReport } from "../support/sample-report.ts";

const plain = createStyle({ color: false, width: 100 });
const escapeCode = "\u001b";

describe("tokens as labels", () => {
  test.each([
    [" God", "·God"],
    ["\n", "⏎"],
    ["\t", "⇥"],
    ["", "∅"],
    ["\u001b[31m", "\\u{1b}[31m"],
    ["\u202e", "\\u{202e}"],
    ["日本", "日本"],
  ])("%j becomes %s", (text, label) => {
    expect(tokenLabel(text)).toBe(label);
  });

  test("cutting and filling count terminal columns, not characters", () => {
    expect(displayWidth("日本")).toBe(4);
    expect(clip("日本語", 4)).toBe("日…");
    expect(toWidth("日本", 6)).toBe("日本  ");
    expect(toWidth("ab", 4, "right")).toBe("  ab");
    expect(toWidth("beginning", 4)).toBe("beg…");
  });
});

describe("numbers", () => {
  test("a sign only where there is a direction", () => {
    expect(signed(0.5)).toBe("+0.50");
    expect(signed(-1.304)).toBe("−1.30");
    expect(signed(-0.001)).toBe(" 0.00");
    expect(signed(Number.NaN)).toBe("NaN");
  });

  test("a small share is not shown as none", () => {
    expect(percent(0.412)).toBe("41.2 %");
    expect(percent(0.0001)).toBe("<0.1 %");
    expect(percent(0)).toBe("0.0 %");
  });
});

describe("bars", () => {
  test("length follows the share to an eighth", () => {
    expect(bar(1, 4)).toBe("████");
    expect(bar(0.5, 4)).toBe("██");
    expect(bar(1 / 32, 4)).toBe("▏");
    expect(bar(0, 4)).toBe("");
    expect(bar(7, 4)).toBe("████");
    expect(bar(Number.NaN, 4)).toBe("");
  });

  test("negative values grow to the left", () => {
    expect(signedBar(-2, 2, 3)).toEqual({ left: "███", right: "" });
    expect(signedBar(-1, 2, 3)).toEqual({ left: " ▐█", right: "" });
    expect(signedBar(1, 2, 2)).toEqual({ left: "  ", right: "█" });
    expect(signedBar(0.0001, 2, 2)).toEqual({ left: "  ", right: "▏" });
    expect(signedBar(0, 0, 2)).toEqual({ left: "  ", right: "" });
  });

  test("shades grow with the share", () => {
    expect([0, 0.1, 0.3, 0.6, 0.9, 1].map(shade)).toEqual([" ", "░", "▒", "▓", "█", "█"]);
    expect([0.01, 0.02, 0.1, 0.3, 0.6].map(attentionShade)).toEqual([" ", "░", "▒", "▓", "█"]);
    expect(shade(Number.NaN)).toBe(" ");
  });
});

describe("the attention picture", () => {
  const { attention, tokens } = sampleReport();

  test("has a row for each query and no cell above the diagonal", () => {
    const rows = attentionPicture(attention.pattern, tokens, plain).slice(1);
    expect(rows).toHaveLength(tokens.length);
    expect(rows[0]).toMatch(/ 0 <\|endoftext… {2}██$/);
    expect(rows[2]).toMatch(/ 2 ·the {10}██▒▒▒▒$/);
  });

  test("column numbers never touch", () => {
    const long = Array.from({ length: 14 }, (_, i) => ({ text: `t${i}` }));
    const pattern = long.map(() => long.map(() => 0));
    expect(attentionPicture(pattern, long, plain)[0]?.trim()).toBe("0   2   4   6   8  10  12");
  });

  test("shows the last positions where there is no room, and says so", () => {
    const long = Array.from({ length: 60 }, (_, i) => ({ text: `t${i}` }));
    const pattern = long.map((_, q) => long.map((_, k) => (k <= q ? 1 / (q + 1) : 0)));
    const lines = attentionPicture(pattern, long, createStyle({ color: false, width: 60 }));
    expect(lines[0]).toContain("positions 0 to");
    expect(lines.at(-1)).toContain("59 t59");
    for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(60);
  });

  test("the strongest keys come first", () => {
    expect(strongestKeys([0.1, 0.7, 0.2, 0], tokens, 4).map((key) => key.position)).toEqual([1, 2, 0]);
  });
});

test("the heat table marks its head and shades by size", () => {
  const [header, first, second] = heatTable(
    [
      [-2, 0.5],
      [1, 0],
    ],
    { layer: 0, head: 0 },
    plain,
  );
  expect(header).toMatch(/head 0\s+head 1/);
  expect(first).toMatch(/layer 0 +−2\.00\*██ +\+0\.50 ▒▒/);
  expect(second).toMatch(/layer 1 +\+1\.00 ▓▓ +0\.00/);
});

test("a heat table wider than the terminal continues below", () => {
  const lines = heatTable(
    [Array.from({ length: 12 }, (_, i) => i)],
    { layer: 0, head: 11 },
    createStyle({ color: false, width: 60 }),
  );
  expect(lines.filter((line) => line.includes("head"))).toHaveLength(3);
  expect(lines.join("\n")).toContain("+11.00*██");
});

describe("the whole report", () => {
  const sections = [
    "Tokens (8)",
    "Next token",
    "Logit lens",
    "Logit lens by position",
    "Effect of ablating each head",
    "Attention of layer 0, head 0",
    "Gradient × activation",
  ];

  test.each([60, 80, 100, 200])("has every section and keeps to %i columns", (width) => {
    const text = renderExplain(sampleReport(), createStyle({ color: false, width }));
    for (const section of sections) expect(text).toContain(section);
    expect(text.endsWith("\n")).toBe(true);
    // Sentences may be longer than a narrow terminal, pictures and tables not.
    const table = text.split("\n").filter((line) => line.startsWith("  ") && /[0-9]/.test(line));
    for (const line of table.filter((line) => !/change of|looks at/.test(line))) {
      expect(displayWidth(line), line).toBeLessThanOrEqual(width);
    }
  });

  test("without colour it holds no escape code, not even one from the prompt", () => {
    expect(renderExplain(sampleReport(), plain)).not.toContain(escapeCode);
  });

  test("with colour it is the same text", () => {
    const coloured = renderExplain(sampleReport(), createStyle({ color: true, width: 100 }));
    expect(coloured).toContain(escapeCode);
    const stripped = coloured.replace(new RegExp(`${escapeCode}\\[[0-9;]*m`, "g"), "");
    expect(stripped.replace(/ +$/gm, "")).toBe(renderExplain(sampleReport(), plain).replace(/ +$/gm, ""));
  });

  test("an answer that was asked for is shown with its rank, also outside the best", () => {
    const report = sampleReport();
    const asked = {
      ...report,
      answer: { id: 3, text: " sea", logit: 0, probability: 0.01, rank: 12, chosenBy: "user" as const },
    };
    const text = renderExplain(asked, plain);
    expect(text).toContain("asked for, rank 12");
    expect(text).toMatch(/·sea \*\s+1\.0 %/);
  });
});
