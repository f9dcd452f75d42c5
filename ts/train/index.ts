/** The public names for training. */

export { Adam, AdamW, type AdamWOptions } from "./adamw.ts";
export { clipGradients } from "./clip-gradients.ts";
export type {
  LearningRate,
  NamedParameter,
  Optimizer,
  OptimizerState,
  ParameterGroup,
  ParameterUpdate,
  Slots,
  Trained,
} from "./optimizer.ts";
export { type WarmupCosineOptions, warmupCosine } from "./schedule.ts";
export { SGD, type SGDOptions } from "./sgd.ts";
