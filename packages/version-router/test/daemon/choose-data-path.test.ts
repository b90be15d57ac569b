import t from "tap";
import { chooseKind } from "../../daemon/choose-data-path.ts";
import type { Findings } from "../../daemon/choose-data-path.ts";

const can = { ok: true, missing: [] };
const lacks = (what: string) => ({ ok: false, missing: [{ what, mend: `install ${what}` }] });
const both: Findings = { wanted: "auto", left: [], kernel: can, relay: can };

t.test("auto: the kernel's where it can be, else the relay", async (t) => {
  t.same(chooseKind(both), { kind: "kernel", reason: "this machine can carry it" });
  t.match(chooseKind({ ...both, kernel: lacks("BTF") }), { kind: "relay", reason: /BTF \(install BTF\)/ });
  t.throws(() => chooseKind({ ...both, kernel: lacks("BTF"), relay: lacks("nft") }), {
    code: "E_NO_DATA_PATH",
    message: /BTF \(install BTF\).*nft \(install nft\)/,
  });
});

t.test("auto: what an earlier daemon left stays, whatever the machine can by now", async (t) => {
  t.match(chooseKind({ ...both, left: ["relay"] }), { kind: "relay" });
  t.match(chooseKind({ ...both, left: ["kernel"], kernel: lacks("bpftool") }), { kind: "kernel" });
});

t.test("named: that one, so that its own error says what is missing", async (t) => {
  t.match(chooseKind({ ...both, wanted: "relay" }), { kind: "relay" });
  t.match(chooseKind({ ...both, wanted: "kernel", kernel: lacks("BTF") }), { kind: "kernel" });
});

t.test("named, but domains are on the other: refused in words that help", async (t) => {
  for (const [wanted, left] of [
    ["kernel", "relay"],
    ["relay", "kernel"],
  ] as const) {
    t.throws(() => chooseKind({ ...both, wanted, left: [left] }), {
      code: "E_NO_DATA_PATH",
      message: new RegExp(`${left}.*--destroy.*${wanted}`),
    });
  }
});
