// A page that loads a model from another site, whose address is behind `#`.
import { HookedTransformer } from "hooklens";

const { hash } = (globalThis as unknown as { readonly location: { readonly hash: string } }).location;
try {
  const model = await HookedTransformer.fromPretrained(hash.slice(1), { cache: false });
  console.log(`loaded ${model.cfg.n_layers}`);
} catch (error) {
  const { code, message } = error as { readonly code: string; readonly message: string };
  console.log(`${code} ${message}`);
}
