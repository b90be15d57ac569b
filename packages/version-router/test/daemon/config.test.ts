import t from "tap";
import { loadConfig, parseConfig } from "../../daemon/config.ts";

t.test("defaults are filled in", async (t) => {
  t.same(parseConfig('{"uplink":"eth0","serviceAddress":"10.77.0.1"}', "f"), {
    uplink: "eth0",
    serviceAddress: "10.77.0.1",
    peers: [],
    dataPath: "auto",
    pinDirectory: "/sys/fs/bpf/version-manager",
    socket: "/run/version-manager/router.sock",
    gatewayPort: 4077,
    exchangePort: 4078,
    exchangeIntervalMs: 2000,
  });
});

t.test("every fault is in the one answer, unknown keys too", async (t) => {
  const text = '{"uplink":"","peers":["10.0.0.1","x"],"gatewayPort":0,"uplnk":1,"socket":"relative"}';
  t.throws(() => parseConfig(text, "router.json"), {
    code: "E_BAD_REQUEST",
    message: /router\.json.*uplink.*serviceAddress.*peers\[1\].*socket.*gatewayPort.*uplnk/,
  });
});

t.test("no JSON, no file", async (t) => {
  t.throws(() => parseConfig("{", "f"), { code: "E_BAD_REQUEST" });
  await t.rejects(loadConfig("/nonexistent/router.json"), { code: "E_BAD_REQUEST" });
});
