/** What the XML of every domain has, whatever runs it: name, our mark, limits, and what happens when it ends. Pure. */
import { createHash } from "node:crypto";
import { isAbsolute } from "node:path/posix";
import { AgentError } from "../../errors.ts";
import type { DomainDisk, DomainSpec } from "../hypervisor.ts";
import { element } from "./element.ts";
import type { Element } from "./element.ts";

/** Namespace of our own metadata. Domains without it belong to somebody else and are never touched. */
export const METADATA_NAMESPACE = "urn:version-manager:domain:1";

/** Markup that only a metadata element of ours produces: "<" never stands unescaped in text or attributes. */
const OURS = new RegExp(`<\\w+:domain\\s[^<>]*xmlns:\\w+=["']${METADATA_NAMESPACE}["']`);

/** Whether the XML that libvirt gives of a domain bears our mark. */
export function isOurs(xml: string): boolean {
  return OURS.test(xml);
}

/** libvirt's own limit is higher; beyond this a number is a mistake. */
const MEMORY_MIB_MAX = 1024 * 1024;
const VCPUS_MAX = 256;
const DISK_MIB_PER_S_MAX = 1024 * 1024;

/** Throws E_DOMAIN, naming every fault at once. */
export function checkSpec(spec: DomainSpec): void {
  const faults = [
    /^[a-z0-9][a-z0-9.-]{0,62}$/.test(spec.name)
      ? ""
      : `name ${JSON.stringify(spec.name)}: 1 to 63 of a-z 0-9 . -`,
    inRange(spec.memoryMiB, MEMORY_MIB_MAX) ? "" : `memoryMiB ${spec.memoryMiB}: 1 to ${MEMORY_MIB_MAX}`,
    inRange(spec.vcpus, VCPUS_MAX) ? "" : `vcpus ${spec.vcpus}: 1 to ${VCPUS_MAX}`,
    inRange(spec.diskMiBPerS ?? 1, DISK_MIB_PER_S_MAX)
      ? ""
      : `diskMiBPerS ${spec.diskMiBPerS}: 1 to ${DISK_MIB_PER_S_MAX}`,
    ...[...pathsOf(spec.disk), spec.consoleLog].map((path) =>
      isAbsolute(path) ? "" : `${JSON.stringify(path)}: an absolute path`,
    ),
  ].filter((fault) => fault !== "");
  if (faults.length > 0)
    throw new AgentError("E_DOMAIN", `The domain's description is wrong: ${faults.join("; ")}.`);
}

function pathsOf(disk: DomainDisk): readonly string[] {
  if (disk.kind === "qcow2") return [disk.path, disk.kernel, disk.initramfs];
  return disk.kind === "bootable" ? [disk.path, disk.seed] : [disk.path];
}

function inRange(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max;
}

/** The same for the same name, so that a running domain can be defined by writing its XML again. RFC 9562, version 8. */
export function uuidOf(name: string): string {
  const bytes = createHash("sha256").update(`${METADATA_NAMESPACE}:${name}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** `parts` come in the order in which libvirt's schema documents them; it takes any. */
export function domainElement(type: string, spec: DomainSpec, parts: readonly Element[]): Element {
  const mark = element("vm:domain", {
    "xmlns:vm": METADATA_NAMESPACE,
    service: spec.identity.service,
    version: spec.identity.version,
  });
  return element(
    "domain",
    { type },
    element("name", {}, spec.name),
    element("uuid", {}, uuidOf(spec.name)),
    element("metadata", {}, mark),
    element("memory", { unit: "MiB" }, String(spec.memoryMiB)),
    element("vcpu", {}, String(spec.vcpus)),
    ...parts,
    // A domain that ends stays ended: what becomes of it is for the agent to decide, not for libvirt.
    element("on_poweroff", {}, "destroy"),
    element("on_reboot", {}, "destroy"),
    element("on_crash", {}, "destroy"),
  );
}
