// A page whose library tests drive from outside.
import * as hooklens from "hooklens";
import * as worker from "hooklens/worker";

const warnings: string[] = [];
hooklens.setLogger({ warn: (message) => void warnings.push(message) });
Object.assign(globalThis, { hooklens, worker, warnings, ready: true });
