import type { Candidate, ExplainReport } from "../../ts/analysis/explain-report.ts";

const words = ["<|endoftext|>", "In", " the", " beginning", " God", "\n", " \u001b[31m", " 日本"];

function candidate(id: number, text: string, probability: number): Candidate {
  return { id, text, probability, logit: 8 + Math.log(probability) };
}

/** A small report with everything that is awkward to draw: wide characters, escape codes, line breaks, tiny numbers. */
export function sampleReport(): ExplainReport {
  const answer = candidate(9, " earth", 0.61);
  return {
    version: 1,
    model: { name: "sample", nLayers: 2, nHeads: 3, dModel: 8, nCtx: 16, dVocab: 12 },
    prompt: words.slice(1).join(""),
    tokens: words.map((text, position) => ({ position, id: position, text })),
    next: [answer, candidate(10, " God", 0.2), candidate(5, "\n", 0.0001)],
    answer: { ...answer, rank: 0, chosenBy: "model" },
    logitLens: [0, 1, 2].map((blocks) => ({
      hook: blocks < 2 ? `blocks.${blocks}.hook_resid_pre` : "blocks.1.hook_resid_post",
      blocks,
      top: [candidate(10, " God", 0.5), candidate(9, " earth", 0.25)],
      answer: { probability: 0.25, logit: 1, rank: 7 - blocks },
      best: words.map(() => candidate(4, " God", 0.5)),
    })),
    headAblation: {
      baseline: 8.2,
      effects: [
        [-2, 0.5, 0],
        [1, -0.25, 0.125],
      ],
    },
    attention: {
      layer: 0,
      head: 0,
      effect: -2,
      chosenBy: "effect",
      pattern: words.map((_, q) => words.map((_, k) => (k > q ? 0 : k === 0 ? 1 - 0.1 * q : 0.1))),
    },
    patterns: {
      positions: words.map((_, position) => position),
      shares: [0, 1].map((layer) =>
        [0, 1, 2].map((head) =>
          words.map((_, q) =>
            words.map((_, k) => (k > q ? 0 : k === q ? 1 - (q * (layer + head)) / 40 : (layer + head) / 40)),
          ),
        ),
      ),
    },
    residualNorms: {
      hooks: ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_pre", "blocks.1.hook_resid_post"],
      values: [0, 1, 2].map((blocks) => words.map((_, i) => (i === 0 ? 100 : 3 + i) * (blocks + 1))),
    },
    attribution: { hook: "hook_embed", values: words.map((_, i) => (i % 2 === 0 ? -1 : 1) * i) },
  };
}
