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

t.test("addresses of IPv6 have one form, and reach beyond the node", async (t) => {
  const parse = (more: object): ReturnType<typeof parseConfig> =>
    parseConfig(JSON.stringify({ uplink: "eth0", serviceAddress: "10.77.0.1", ...more }), "f");
  const { serviceAddress6, peers } = parse({
    serviceAddress6: "FD10:78:0::1",
    peers: ["fd10:0078::0002", "::ffff:10.0.0.2"],
  });
  t.equal(serviceAddress6, "fd10:78::1");
  t.same(peers, ["fd10:78::2", "10.0.0.2"]);
  for (const address of ["fe80::5", "::1", "ff02::1", "::ffff:10.0.0.1", "fd56:52aa:6f3d:1::9", "10.0.0.1"])
    t.throws(() => parse({ serviceAddress6: address }), {
      code: "E_BAD_REQUEST",
      message: /serviceAddress6/,
    });
  t.throws(() => parse({ serviceAddress6: "fd10:78::1", dataPath: "relay" }), {
    code: "E_BAD_REQUEST",
    message: /serviceAddress6.*relay carries IPv4 only/,
  });
});

t.test("no JSON, no file", async (t) => {
  t.throws(() => parseConfig("{", "f"), { code: "E_BAD_REQUEST" });
  await t.rejects(loadConfig("/nonexistent/router.json"), { code: "E_BAD_REQUEST" });
});
