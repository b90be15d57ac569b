import t from "tap";
import { splitWords } from "../../cli/foreign-words.ts";

t.test("options behind the place belong to the command that is run there", async (t) => {
  t.same(splitWords(["testbed", "exec", "--name", "a", "n1", "--", "ls", "--json"]), {
    own: ["testbed", "exec", "--name", "a", "n1"],
    foreign: ["ls", "--json"],
  });
  t.same(splitWords(["testbed", "exec", "n2", "vm-upgrade", "status", "--json"]).foreign, [
    "vm-upgrade",
    "status",
    "--json",
  ]);
  t.same(splitWords(["testbed", "exec", "--help"]), { own: ["testbed", "exec", "--help"], foreign: [] });
});

t.test("every other command line is ours alone", async (t) => {
  const words = ["status", "--json"];
  t.same(splitWords(words), { own: words, foreign: [] });
});
