/** What `scripts/bench` understands. */
import t from "tap";
import { help, parseWords } from "../command-line.ts";

const names = ["gossip", "router"];

t.test("a bench and its options", async (t) => {
  t.same(parseWords(["router"], names), {
    name: "router",
    quick: false,
    json: false,
    record: false,
    rounds: undefined,
  });
  t.same(parseWords(["--json", "router", "--quick", "--rounds", "7"], names), {
    name: "router",
    quick: true,
    json: true,
    record: false,
    rounds: 7,
  });
  t.equal(parseWords(["--help"], names), "help");
});

t.test("what is wrong is said with what would be right", async (t) => {
  t.throws(() => parseWords([], names), { message: /gossip, router/ });
  t.throws(() => parseWords(["rooter"], names), { message: /no bench "rooter".*gossip, router/ });
  t.throws(() => parseWords(["router", "gossip"], names), { message: /one bench/ });
  for (const rounds of ["0", "101", "1.5", "many"]) {
    t.throws(() => parseWords(["router", "--rounds", rounds], names), { message: /1 to 100/ });
  }
  t.throws(() => parseWords(["router", "--fast"], names), { code: "ERR_PARSE_ARGS_UNKNOWN_OPTION" });
});

t.test("help lists the benches with their questions", async (t) => {
  t.match(help(new Map([["router", { question: "Is it fast?" }]])), /router +Is it fast\?/);
});
