// `npm run golden -- <folder>`: compares models with reference fixtures, one line a fixture; exit code 1 if any fails.
import { resolve } from "node:path";
import { compareFixture, describeOutcome } from "../tests/golden/compare.ts";
import { fixtureFolders } from "../tests/golden/fixture.ts";

const [folder = "tests/fixtures/golden"] = process.argv.slice(2);
const folders = fixtureFolders(resolve(folder));
if (folders.length === 0) {
  console.error(`error: no fixture (a directory with expected.safetensors) in ${folder}`);
  process.exit(1);
}
let failed = 0;
for (const path of folders) {
  const outcome = await compareFixture(path);
  if (outcome.status === "failed") failed++;
  console.log(describeOutcome(outcome));
}
console.log(`${folders.length} fixtures, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
