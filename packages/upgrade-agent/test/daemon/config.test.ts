import t from "tap";
import { parseConfig } from "../../daemon/config.ts";

t.test("a small file is enough; the rest has defaults", async (t) => {
  const config = parseConfig('{"node": "n1", "serviceAddress": "10.77.0.1"}', "agent.json");
  t.match(config, { hypervisor: "auto", xenGuest: "pv", peerApiPort: 4080 });
  t.same(config.peers, []);
});

t.test("all faults are told at once, unknown keys among them", async (t) => {
  try {
    parseConfig('{"node": "N 1", "serviceAddress": "here", "prot": 1}', "agent.json");
    t.fail("must refuse");
  } catch (error) {
    t.match(error, { code: "E_CONFIG" });
    t.match((error as Error).message, /3 fault.*node.*serviceAddress.*prot/s);
  }
});

t.test("what is not JSON is refused with the same code", async (t) => {
  t.throws(() => parseConfig("{", "agent.json"), { code: "E_CONFIG" });
});
