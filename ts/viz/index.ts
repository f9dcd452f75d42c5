/** Pictures: markup made of plain numbers. Nothing here needs an engine, a DOM or Node. */

export {
  type AttentionPatternOptions,
  type AttentionPatternsOptions,
  attentionPattern,
  attentionPatterns,
} from "./attention.ts";
export { type TokenBarsOptions, type TokenProbability, tokenBars } from "./bars.ts";
export { type ColoredTokensOptions, coloredTokens } from "./colored-tokens.ts";
export { type ExplainPictureOptions, explainPicture } from "./explain-page.ts";
export { type HeatmapOptions, heatmap } from "./heatmap.ts";
export { type ChartLine, type LineChartOptions, lineChart } from "./line-chart.ts";
export { type LensLayer, type LogitLensOptions, logitLens } from "./logit-lens.ts";
export { type MediaBundle, Picture, stackPictures } from "./picture.ts";
export type { Matrices, MatricesOfLayers, Matrix, TensorLike, Vector } from "./values.ts";
