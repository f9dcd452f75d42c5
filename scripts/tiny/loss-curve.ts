/** A training run's losses as a table and as a picture. */
import type { Baseline } from "./baselines.ts";
import type { CurvePoint } from "./trainer.ts";

/** What is measured in the course of a run, in the order of its table and its picture. */
function measures(curve: readonly CurvePoint[]): string[] {
  return [...new Set(curve.flatMap(({ measured }) => Object.keys(measured ?? {})))];
}

/** `step,train,…,learning_rate` with a column for each thing measured, a row a point. */
export function curveCsv(curve: readonly CurvePoint[]): string {
  const names = measures(curve);
  const rows = curve.map(({ step, train, measured, learningRate }) => {
    const losses = names.map((name) => measured?.[name]?.toFixed(4) ?? "");
    return [step, train.toFixed(4), ...losses, learningRate.toExponential(3)].join(",");
  });
  return `${["step", "train", ...names, "learning_rate"].join(",")}\n${rows.join("\n")}\n`;
}

const trainingColor = "#4a78c8";
const measureColors = ["#c8503c", "#2e8b57", "#8a5fb0"];

/** The curve as SVG, with the baselines as dashed lines. */
export function curveSvg(curve: readonly CurvePoint[], baselines: readonly Baseline[]): string {
  const [width, height, margin] = [640, 360, 48];
  const steps = Math.max(1, ...curve.map(({ step }) => step));
  const losses = curve.flatMap(({ train, measured }) => [train, ...Object.values(measured ?? {})]);
  const [low, high] = [Math.floor(Math.min(...losses) * 2) / 2, Math.ceil(Math.max(...losses))];
  const x = (step: number): string => (margin + ((width - 2 * margin) * step) / steps).toFixed(1);
  const y = (loss: number): string =>
    (height - margin - ((height - 2 * margin) * (loss - low)) / (high - low)).toFixed(1);
  const line = (points: readonly string[], color: string): string =>
    `<polyline fill="none" stroke="${color}" stroke-width="1.5" points="${points.join(" ")}"/>`;
  const lines = [
    {
      name: "training",
      color: trainingColor,
      points: curve.map(({ step, train }) => `${x(step)},${y(train)}`),
    },
    ...measures(curve).map((name, i) => ({
      name,
      color: measureColors[i % measureColors.length] ?? trainingColor,
      points: curve.flatMap(({ step, measured }) => {
        const loss = measured?.[name];
        return loss === undefined ? [] : [`${x(step)},${y(loss)}`];
      }),
    })),
  ];
  const legend = lines.map(({ name, color }) => `<tspan fill="${color}">${name}</tspan>`);
  const grid = Array.from({ length: high - Math.ceil(low) + 1 }, (_, i) => Math.ceil(low) + i).map(
    (loss) =>
      `<line x1="${margin}" x2="${width - margin}" y1="${y(loss)}" y2="${y(loss)}" stroke="#ddd"/>` +
      `<text x="${margin - 8}" y="${y(loss)}" text-anchor="end" dominant-baseline="middle">${loss}</text>`,
  );
  const counted = baselines.map(
    ({ name, loss }) =>
      `<line x1="${margin}" x2="${width - margin}" y1="${y(loss)}" y2="${y(loss)}" stroke="#888" stroke-dasharray="4 3"/>` +
      `<text x="${width - margin}" y="${Number(y(loss)) - 4}" text-anchor="end" fill="#666">${name} ${loss.toFixed(2)}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...grid,
    ...counted,
    ...lines.map(({ points, color }) => line(points, color)),
    `<text x="${margin}" y="20">nats a token: ${legend.join(", ")}</text>`,
    `<text x="${width / 2}" y="${height - 14}" text-anchor="middle">steps (${steps})</text>`,
    "</svg>",
    "",
  ].join("\n");
}
