/** Puts the files of a new proxy together. Writes nothing: the files are returned as text. */
import { customModule, customTest } from "./custom.ts";
import { datagramModule, datagramTest } from "./datagram.ts";
import { httpModule, httpTest } from "./http.ts";
import { linesModule, linesTest } from "./lines.ts";
import { respModule, respTest } from "./resp.ts";

export const PROXY_KINDS = ["http", "resp", "lines", "datagram", "custom"] as const;

export type ProxyKind = (typeof PROXY_KINDS)[number];

export interface SkeletonFile {
  /** Relative to the release's directory, with slashes. */
  readonly path: string;
  readonly text: string;
}

export interface ProxySkeleton {
  readonly files: readonly SkeletonFile[];
  /** What belongs into the release's `version.json`. */
  readonly manifest: { readonly proxy: { readonly module: string } };
  /** The command that runs the generated test in the release's directory; it needs this package installed there. */
  readonly testCommand: readonly string[];
}

const MODULE = "proxy/index.js";
const TEST = "test/proxy.test.js";

const TEXTS: Readonly<Record<ProxyKind, { readonly module: string; readonly test: string }>> = {
  http: { module: httpModule, test: httpTest },
  resp: { module: respModule, test: respTest },
  lines: { module: linesModule, test: linesTest },
  datagram: { module: datagramModule, test: datagramTest },
  custom: { module: customModule, test: customTest },
};

export function proxySkeleton(kind: ProxyKind): ProxySkeleton {
  const { module, test } = TEXTS[kind];
  return {
    files: [
      { path: MODULE, text: module },
      { path: TEST, text: test },
    ],
    manifest: { proxy: { module: MODULE } },
    testCommand: ["node", "--test", TEST],
  };
}
