// `npm run golden -- <folder>`: compares models with reference fixtures, one line a fixture and one for each tensor that
// is too far off; exit code 1 if any fails.
import { resolve } from "node:path";
import "../tests/support/start.ts";
import { compareFixture, describeOutcome } from "../tests/golden/compare.ts";
import { fixtureFolders } from "../tests/golden/fixture.ts";

const [folder = "tests/fixtures/golden"] = process.argv.slice(2);
const folders = fixtureFolders(resolve(folder));
if (folders.length === 0) {
  console.error(`error: no fixture (a directory with expected.safetensors) in ${folder}`);
  process.exit(1);
}
const counts = { ok: 0, refused: 0, failed: 0 };
for (const path of folders) {
  const outcome = await compareFixture(path);
  counts[outcome.status]++;
  console.log(describeOutcome(outcome));
}
console.log(
  `${counts.ok} equal within tolerance, ${counts.refused} refused by name as not implemented, ${counts.failed} failed`,
);
process.exit(counts.failed === 0 ? 0 : 1);
