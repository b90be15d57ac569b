/** Needs root. The doctor on the machine at hand: it finds that the kernel can do all, and leaves nothing of its trials. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import t from "tap";
import { reportLines, runDoctor } from "../../doctor/index.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";

function machine(): string {
  const links = execFileSync("ip", ["-brief", "link"]).toString().replaceAll(/@\S+/g, "");
  const names = links.split("\n").map((line) => line.split(" ")[0]);
  return JSON.stringify([
    names.filter((name) => name?.startsWith("probe")),
    readFileSync("/proc/self/mounts", "utf8"),
  ]);
}

void t.test("the doctor on this machine", { skip, timeout: 120_000 }, async (t) => {
  const before = machine();
  const report = await runDoctor({ purpose: "testbed", baseImage: async () => "0123456789abcdef" });
  t.equal(machine(), before);
  for (const line of reportLines(report)) t.comment(line);
  t.equal(report.checks.find((check) => check.name === "kernel features")?.found, "each was tried and works");
  t.equal(report.checks.find((check) => check.name === "base image")?.found, "0123456789ab");
});

void t.test("nobody at libvirt's socket is told with its code", { skip, timeout: 120_000 }, async (t) => {
  const report = await runDoctor({ purpose: "node", libvirtSocket: "/nowhere/libvirt-sock" });
  t.match(
    report.checks.find((check) => check.name === "libvirtd"),
    { ok: false, code: "E_NO_LIBVIRT" },
  );
  t.equal(report.ok, false);
});
