// A page that computes with tensors.
import { initEngine, zeros } from "hooklens/lazy";

await initEngine();
console.log(zeros([2]).add(1).toArray(1));
