/**
 * Colour scales that people who confuse colours can read, and that keep the text on them readable.
 *
 * The sequential scale goes from the paper to blue; the diverging one has blue for what raises and orange for what
 * lowers. Steps were interpolated in OKLab; each step's ink has a contrast of at least 4.5 (a test measures it).
 */

/** The colours of both schemes. `negative` and `positive` start at zero and grow outwards. */
export const palettes = {
  light: {
    sequential: [
      "#f3f6fb",
      "#d5e4f6",
      "#b8d1f1",
      "#94bae8",
      "#699cdd",
      "#3d7fd0",
      "#2b65b2",
      "#1a4b94",
      "#10397b",
      "#0d2f65",
      "#0a2450",
    ],
    negative: ["#f1f2f4", "#f5d1b4", "#efa977", "#df773a", "#b95215", "#8a3407"],
    positive: ["#f1f2f4", "#bfd7f4", "#87b3e7", "#4684d0", "#235ead", "#123f86"],
  },
  dark: {
    sequential: [
      "#1c2430",
      "#1e2f48",
      "#203a61",
      "#234a7f",
      "#295fa3",
      "#2f74c8",
      "#508fda",
      "#6faaec",
      "#93c3f7",
      "#bbdafc",
      "#e2f0ff",
    ],
    negative: ["#232a34", "#4f311e", "#7d4219", "#b55b1e", "#de8347", "#ffb27a"],
    positive: ["#232a34", "#233b5b", "#28558f", "#3575c2", "#68a4eb", "#a6d0ff"],
  },
} as const;

const inks = { dark: "#0b1018", light: "#ffffff" } as const;

function luminance(color: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const c = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG's contrast of two colours, 1 to 21. */
export function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

/** The ink that is easier to read on a colour. */
export function inkOn(color: string): string {
  return contrast(color, inks.dark) >= contrast(color, inks.light) ? inks.dark : inks.light;
}

/** The class of a share from 0 to 1: `q0` to `q10`. The step grows with the square root: most shares are small. */
export function shareClass(share: number): string {
  if (!Number.isFinite(share)) return "nan";
  return `q${Math.round(10 * Math.sqrt(Math.min(1, Math.max(0, share))))}`;
}

/** The class of a value between two ends, in equal steps: `q0` to `q10`. */
export function rangeClass(value: number, least: number, most: number): string {
  if (!Number.isFinite(value)) return "nan";
  const share = most > least ? (value - least) / (most - least) : 0;
  return `q${Math.round(10 * Math.min(1, Math.max(0, share)))}`;
}

/** The class of a signed value: `z`, `p1` to `p5`, `n1` to `n5`. Anything above a fiftieth of `largest` has a colour. */
export function signedClass(value: number, largest: number): string {
  if (!Number.isFinite(value)) return "nan";
  const step = largest > 0 ? Math.min(5, Math.ceil((5 * Math.abs(value)) / largest - 0.1)) : 0;
  return step <= 0 ? "z" : `${value < 0 ? "n" : "p"}${step}`;
}

/** The largest size of finite values, 0 if there is none. */
export function largestSize(values: Iterable<number>): number {
  let largest = 0;
  for (const value of values) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  return largest;
}

type Palette = (typeof palettes)[keyof typeof palettes];

/** The rules of all classes for one scheme, inside the selector `root`. */
export function scaleRules(root: string, { sequential, negative, positive }: Palette): string {
  const rule = (name: string, color: string) => `${root} .${name}{background:${color};color:${inkOn(color)}}`;
  return [
    ...sequential.map((color, step) => rule(`q${step}`, color)),
    rule("z", negative[0]),
    ...negative.slice(1).map((color, i) => rule(`n${i + 1}`, color)),
    ...positive.slice(1).map((color, i) => rule(`p${i + 1}`, color)),
  ].join("\n");
}
