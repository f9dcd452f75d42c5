// Steering: add a direction to the residual stream while the model writes, and watch the text turn.

import { HookedTransformer, noGrad, type Tensor } from "hooklens";

const model = await HookedTransformer.fromPretrained("builtin:tiny");
const layer = 2;
const point = `blocks.${layer}.hook_resid_post` as const;

/** What the residual stream holds at the end of a text, `[d_model]`. */
function residual(text: string): Tensor {
  const [, cache] = noGrad(() => model.runWithCache(text, { namesFilter: point }));
  return cache.get(point).get(0, -1);
}

// The direction from one thing to another: war minus peace.
const direction = residual("And they fought with the sword").sub(residual("And they dwelt in peace"));
const unit = direction.div(direction.norm());

const prompt = "And it came to pass, that the king";
const options = { maxNewTokens: 24, doSample: false, repetitionPenalty: 1.3 } as const;
console.log(`   as it is: ${await model.generate(prompt, options)}`);

for (const strength of [-12, -6, 6, 12]) {
  // The hook is live in every step: in the first for the whole prompt, then for each new token.
  using _scope = model.hooks({ fwdHooks: { [point]: (x: Tensor) => x.add(unit.mul(strength)) } });
  const text = await model.generate(prompt, options);
  console.log(`${String(strength).padStart(4)} × war: ${text}`);
}
//    as it is: And it came to pass, that the king of Judah had made an household, and all Israel, and they brought them out of Egypt.
// Then said he
//  -12 × war: And it came to pass, that the king of Judah had done unto the people.
// Then the LORD said he unto Moses, Give young men, and
//   -6 × war: And it came to pass, that the king of Judah had done unto all Israel.
// Then said they unto them, Thus saith the LORD God of hosts
//    6 × war: And it came to pass, that the king of Benjamin was in the land of Canaan: and they went out from thence,
//   12 × war: And it came to pass, that the kings of Israel was in his hand, and fled against him, and slewsroped them.
