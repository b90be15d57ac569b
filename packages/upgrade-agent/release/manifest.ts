/**
 * Reads `version.json`: strict (unknown keys are faults), every default filled in, all faults in one answer.
 * docs/MANIFEST.md is the same reference for people; `test/release/manifest.test.ts` holds the two together.
 */
import { z } from "zod";
import type { PortSpec } from "@version-manager/version-router";
import { AgentError } from "../errors.ts";
import type { Manifest } from "./contract.ts";
import { COMMAND_CHARACTERS_MAX, MANIFEST_BYTES_MAX, PORTS_MAX } from "./limits.ts";

export const SERVICE_PATTERN = /^[a-z][a-z0-9-]{0,31}$/;
/** A label becomes part of a file name, so it holds nothing that a path or a shell gives a meaning. */
const LABEL_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}$/;
export const VERSION_MAX = 2 ** 28 - 1;

/** Faults listed in one message; a manifest made to be faulty could name thousands. */
const FAULTS_LISTED_MAX = 40;
const PORT_PATTERN = /^(tcp|udp)\/([1-9][0-9]{0,4})$/;
const MODULE_PATTERN = /^[A-Za-z0-9_@][A-Za-z0-9_@+.-]*(\/[A-Za-z0-9_@][A-Za-z0-9_@+.-]*)*\.(js|mjs|ts|mts)$/;

/** Like a module's, but of any ending: no way to climb, nothing hidden behind a dash. */
const FILE_PATTERN = /^[A-Za-z0-9_@][A-Za-z0-9_@+.:-]*(\/[A-Za-z0-9_@][A-Za-z0-9_@+.:-]*)*$/;
const DIGEST_PATTERN = /^[0-9a-f]{64}$/;

const integer = (min: number, max: number) => z.int().min(min).max(max);

export const serviceName = z.string().regex(SERVICE_PATTERN, "must be [a-z][a-z0-9-]{0,31}");
export const versionNumber = integer(1, VERSION_MAX);

const hook = z.preprocess(
  (value) => (typeof value === "string" ? { command: value } : value),
  z.strictObject({
    /** For `/bin/sh -c`; 1…8,192 characters, no NUL. */
    command: z
      .string()
      .min(1)
      .max(COMMAND_CHARACTERS_MAX)
      .refine((text) => text.isWellFormed() && !text.includes("\0"), "must be well-formed text without NUL"),
    /** Milliseconds until the command is killed and has failed; 100…86,400,000 (a day), default 60,000. */
    timeoutMs: integer(100, 86_400_000).default(60_000),
  }),
);

const port = z.custom<PortSpec>((value) => {
  const match = typeof value === "string" ? PORT_PATTERN.exec(value) : null;
  return match !== null && Number(match[2]) <= 65_535;
}, 'must be "tcp/N" or "udp/N" with N from 1 to 65535');

const portList = z.array(port).max(PORTS_MAX).default([]);

const ports = z
  .strictObject({
    /** Ports that servers use among themselves; 0…32. Traffic on them is marked and kept within the version. */
    peer: portList,
    /** Ports that clients use; 0…32. */
    client: portList,
  })
  .refine(
    ({ peer, client }) => new Set([...peer, ...client]).size === peer.length + client.length,
    "names a port twice",
  );

const hooks = z.strictObject({
  /** Once, after the copy, before the first start. */
  install: hook.exactOptional(),
  /** Runs as long as the service does; `timeoutMs` is not applied to it. */
  start: hook,
  /** Exits 0 when the service answers. */
  health: hook,
  /** Asks the service to end client connections at their next message boundary. */
  drain: hook.exactOptional(),
  /** Copies state out of the old version. */
  migrate: hook.exactOptional(),
  /** Asks the service to end, before the domain is stopped. Default: SIGTERM to its process group. */
  stop: hook.exactOptional(),
});

/** Nothing is filled in here: what a key has signed holds only what was written. `../service/policy.ts` has the defaults. */
const restart = z.preprocess(
  (value) => (typeof value === "string" ? { policy: value } : value),
  z
    .strictObject({
      /** Whether a service that ended is started again. Default `on-failure`: unless it ended with 0. */
      policy: z.enum(["no", "on-failure", "always"]).exactOptional(),
      /** Milliseconds before a restart, twice as many for each that still counts; 10…600,000, default 1,000. */
      delayMs: integer(10, 600_000).exactOptional(),
      /** Milliseconds that they grow to at most; 10…3,600,000, default 30,000, or `delayMs` when that is longer. */
      delayMaxMs: integer(10, 3_600_000).exactOptional(),
      /** Milliseconds for which a restart counts; 1,000…86,400,000, default 300,000. */
      windowMs: integer(1_000, 86_400_000).exactOptional(),
      /** Restarts that may count at a time; one more end, and the service has failed. 0…100, default 5. */
      restartsMax: integer(0, 100).exactOptional(),
    })
    .refine(
      ({ delayMs = 1_000, delayMaxMs = delayMs }) => delayMs <= delayMaxMs,
      "delayMaxMs is shorter than delayMs",
    ),
);

const health = z
  .strictObject({
    /** Milliseconds between two runs of the health hook; 100…600,000, default 1,000. */
    intervalMs: integer(100, 600_000).default(1_000),
    /** Runs in a row that must succeed; 1…1,000, default 3. */
    successes: integer(1, 1_000).default(3),
    /** Milliseconds from start until the version has failed; 1,000…86,400,000, default 120,000. */
    deadlineMs: integer(1_000, 86_400_000).default(120_000),
  })
  .refine(
    ({ intervalMs, successes, deadlineMs }) => deadlineMs >= intervalMs * successes,
    "deadlineMs is shorter than intervalMs times successes, so that no start could ever be healthy",
  );

const drain = z.strictObject({
  /** Milliseconds that old client connections get to end by themselves; 0…86,400,000, default 30,000. */
  timeoutMs: integer(0, 86_400_000).default(30_000),
  /** What happens to those still open then: reset them, or fail the upgrade on this node. Default `reset`. */
  onTimeout: z.enum(["reset", "fail"]).default("reset"),
});

const releasePath = z.string().max(256).regex(FILE_PATTERN, "must be a path inside the release");
const digest = z.string().regex(DIGEST_PATTERN, "must be a SHA-256 in 64 lower-case hex digits");

const image = z
  .strictObject({
    /** `newest`, or the digest of a base that every node has. */
    base: z.union([z.literal("newest"), digest], 'must be "newest" or a SHA-256 in hex').exactOptional(),
    /** Digest of a file that was given to `vm-upgrade image import` on every node. */
    import: digest.exactOptional(),
    /** A directory of the release, or a tarball in it, plain or gzipped. */
    root: releasePath.exactOptional(),
    /** An archive in the release, as `podman save` and `docker save` write them. */
    oci: releasePath.exactOptional(),
    /** Linux kernel in the release, at most 128 MiB; virtual machines only. */
    kernel: releasePath.exactOptional(),
    /** The initramfs for it, at most 512 MiB. It mounts /dev/vda and starts what `init=` says. */
    initramfs: releasePath.exactOptional(),
  })
  .refine(
    (choice) => [choice.base, choice.import, choice.root, choice.oci].filter(Boolean).length === 1,
    "names exactly one of base, import, root and oci",
  )
  .refine(
    ({ kernel, initramfs }) => (kernel === undefined) === (initramfs === undefined),
    "names kernel and initramfs together or neither",
  );

const manifest: z.ZodType<Manifest> = z.strictObject({
  /** Format of this file; always 1. */
  manifest: z.literal(1),
  service: serviceName,
  /** 1…268,435,455; each release has a greater one than the last. */
  version: versionNumber,
  /** For people, and part of the tarball's name; 1…64 of `A-Z a-z 0-9 . _ + ~ -`. */
  label: z
    .string()
    .regex(LABEL_PATTERN, "must be 1 to 64 of A-Z a-z 0-9 . _ + ~ - and begin with a letter or digit"),
  /** MiB of the domain; 64…1,048,576, default 256. */
  memoryMiB: integer(64, 1_048_576).default(256),
  /** Processors of the domain; 1…64, default 1. */
  vcpus: integer(1, 64).default(1),
  /** MiB that a container's private disk may take; of a cloud image's disk the least; 64…1,048,576, default: no bound. */
  diskMiB: integer(64, 1_048_576).exactOptional(),
  /** MiB/s that a virtual machine reads and writes at most, together; 1…1,048,576, default: no bound. */
  diskMiBPerS: integer(1, 1_048_576).exactOptional(),
  /** Mbit/s that the domain sends at most, and as many that it receives; 1…100,000, default: no bound. */
  networkMbitPerS: integer(1, 100_000).exactOptional(),
  ports: ports.prefault({}),
  /** What passes between a peer port and a node without Version Manager: nothing, or unmarked traffic. Default `deny`. */
  unmanagedPeers: z.enum(["allow", "deny"]).exactOptional(),
  hooks,
  restart: restart.exactOptional(),
  /** Milliseconds for the service to stop before it is killed; 100…600,000. Default: the stop hook's timeout, or 10,000. */
  stopTimeoutMs: integer(100, 600_000).exactOptional(),
  health: health.prefault({}),
  drain: drain.prefault({}),
  /** Needed when the service has client ports and clients are to see one service while two versions run. */
  proxy: z
    .strictObject({
      /** Path inside the release, at most 256 characters, no `..`, ending in .js, .mjs, .ts or .mts. */
      module: z
        .string()
        .max(256)
        .regex(MODULE_PATTERN, "must be a path inside the release to a .js, .mjs, .ts or .mts file"),
      /** Holds `retire` of an older version up until comparing has shown this much. Default: nothing is asked for. */
      compare: z
        .strictObject({
          /** Of a million requests, those whose replies may differ; 0…1,000,000. What is signed holds no fractions. */
          differencesPerMillionMax: integer(0, 1_000_000),
          /** Requests that must have been compared; 1…1,000,000,000, default 1,000. */
          requestsMin: integer(1, 1_000_000_000).default(1_000),
          /** How sure it must be that no more differ, percent; 50…99, default 95. */
          confidencePercent: integer(50, 99).default(95),
        })
        .exactOptional(),
    })
    .exactOptional(),
  /** What the domain's root file system is made of. Default: the node's newest base image. */
  image: image.exactOptional(),
});

/** Parses the bytes of `version.json`. Throws only `E_MANIFEST`, whose message lists every fault as `path: what`. */
export function parseManifest(source: Uint8Array | string): Manifest {
  const bytes = typeof source === "string" ? Buffer.byteLength(source) : source.byteLength;
  if (bytes > MANIFEST_BYTES_MAX) {
    throw new AgentError(
      "E_MANIFEST",
      `version.json: is ${bytes} bytes; at most ${MANIFEST_BYTES_MAX} are allowed.`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(
      typeof source === "string" ? source : new TextDecoder("utf-8", { fatal: true }).decode(source),
    );
  } catch (cause) {
    const what = printable(cause instanceof Error ? cause.message : String(cause));
    throw new AgentError(
      "E_MANIFEST",
      `version.json: is not JSON in UTF-8 (${what}); mend it and pack again.`,
      cause,
    );
  }
  return checkManifest(value);
}

/** The same for a value that is parsed already, for example the manifest inside a signed statement. */
export function checkManifest(value: unknown): Manifest {
  let result: ReturnType<typeof manifest.safeParse>;
  try {
    result = manifest.safeParse(value);
  } catch (cause) {
    throw new AgentError("E_MANIFEST", "version.json: cannot be read as a plain JSON value.", cause);
  }
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap(describe);
  const listed = faults.slice(0, FAULTS_LISTED_MAX);
  const rest = faults.length - listed.length;
  const more = rest > 0 ? [`and ${rest} more`] : [];
  const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
  throw new AgentError("E_MANIFEST", `version.json has ${count}:\n  ${[...listed, ...more].join("\n  ")}`);
}

function describe(issue: z.core.$ZodIssue): string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${pathOf([...issue.path, key])}: unknown key`);
  }
  const missing = issue.code === "invalid_type" && issue.input === undefined;
  return [`${pathOf(issue.path)}: ${missing ? "is missing" : printable(issue.message)}`];
}

function pathOf(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "version.json";
  return path
    .map((key, at) =>
      typeof key === "number" ? `[${key}]` : `${at > 0 ? "." : ""}${printable(String(key))}`,
    )
    .join("");
}

/** What others wrote goes to terminals and logs: no control characters, no novels. */
function printable(text: string): string {
  const clean = text.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u{fffd}");
  return clean.length > 120 ? `${clean.slice(0, 120)}…` : clean;
}
