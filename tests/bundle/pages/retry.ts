// A page whose engine does not arrive whole the first time.
import { HooklensError, initEngine, zeros } from "hooklens";

try {
  zeros([1]);
} catch (error) {
  console.log(error instanceof HooklensError ? error.code : error);
}
console.log((await initEngine()).name, zeros([2]).shape.join());
