import { spawnSync } from "node:child_process";
import * as fc from "fast-check";
import t from "tap";
import {
  entrypointScript,
  environmentScript,
  imageProgram,
  noProgram,
  userIds,
} from "../../../image/import/config.ts";
import { codePoint } from "../../../../version-router/test/properties/code-point.ts";

const passwd = "root:x:0:0::/root:/bin/sh\nweb:x:1234:99::/:/bin/sh\nbad:x:70000:1::/:\n";
const group = "root:x:0:\nstaff:x:50:\n";

t.test("the program of an image", async (t) => {
  const program = imageProgram({
    architecture: "amd64",
    os: "linux",
    config: {
      Env: ["A=b=c", "not a variable"],
      Entrypoint: ["/run"],
      Cmd: ["it's"],
      WorkingDir: "/srv",
      User: "web",
    },
  });
  t.same(program, {
    environment: ["A=b=c"],
    command: ["/run", "it's"],
    workingDirectory: "/srv",
    user: "web",
  });
  t.same(imageProgram({}), noProgram, "an image may say nothing");
  t.same(
    imageProgram({ config: { Entrypoint: null, Cmd: null, Env: null } }),
    noProgram,
    "Docker writes null",
  );
});

t.test("images of other machines, and nonsense, are refused", async (t) => {
  for (const config of [
    null,
    [],
    { architecture: "arm64" },
    { os: "windows" },
    { config: { Env: "A=b" } },
    { config: { Cmd: ["a\0b"] } },
    { config: { User: 7 } },
  ])
    t.throws(() => imageProgram(config), { code: "E_IMAGE_FORMAT" });
});

t.test("users: names and numbers, with and without a group", async (t) => {
  t.same(userIds("", passwd, group), { uid: 0, gid: 0 });
  t.same(userIds("web", passwd, group), { uid: 1234, gid: 99 });
  t.same(userIds("1234", passwd, group), { uid: 1234, gid: 99 });
  t.same(userIds("77", passwd, group), { uid: 77, gid: 0 });
  t.same(userIds("web:staff", passwd, group), { uid: 1234, gid: 50 });
  t.same(userIds("5:6", "", ""), { uid: 5, gid: 6 });
  for (const user of ["nobody-knows", "bad", "70000", "web:nogroup", "-1", "$(id)"])
    t.throws(() => userIds(user, passwd, group), { code: "E_IMAGE_FORMAT" }, user);
});

t.test("nothing in an environment is taken for a command", async () => {
  const value = fc
    .string({ unit: codePoint, maxLength: 40 })
    .filter((text) => !text.includes("\0") && text.isWellFormed());
  fc.assert(
    fc.property(value, (text) => {
      const script = environmentScript({ ...noProgram, environment: [`PROBE=${text}`] });
      const { stdout, status } = spawnSync("sh", ["-c", `${script}printf %s "$PROBE"`], { encoding: "utf8" });
      return status === 0 && stdout === text;
    }),
    { numRuns: 50 },
  );
});

t.test(
  "the entrypoint drops to the image's user, quotes its words, and says when there is none",
  async (t) => {
    const script = entrypointScript(
      { ...noProgram, command: ["/a b", "c'd"], user: "web" },
      { uid: 5, gid: 6 },
    );
    t.match(script, "setpriv --reuid 5 --regid 6 --clear-groups '/a b' 'c'\\''d'");
    t.notMatch(entrypointScript({ ...noProgram, command: ["/a"] }, { uid: 0, gid: 0 }), "setpriv");
    t.match(entrypointScript(noProgram, { uid: 0, gid: 0 }), "exit 78");
  },
);
