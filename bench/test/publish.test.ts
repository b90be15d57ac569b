/** A bench's place in docs/BENCH.md. */
import t from "tap";
import { replaceBetweenMarkers } from "../publish.ts";

t.test("only what stands between the bench's markers changes", async (t) => {
  const document = "a\n<!-- bench x -->\nold\n<!-- end x -->\nb\n<!-- bench y -->\n<!-- end y -->\n";
  const once = replaceBetweenMarkers(document, "x", "new\n");
  t.equal(once, document.replace("\nold\n", "\n\nnew\n\n"));
  t.equal(replaceBetweenMarkers(once, "x", "new\n"), once);
  t.throws(() => replaceBetweenMarkers(document, "z", "new"), { message: /no lines "<!-- bench z -->"/ });
});
