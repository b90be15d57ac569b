/**
 * Which Debian mirror this machine uses: reads apt's source lists, in both of their formats, and keeps what is
 * Debian's own. Pure. Formats: sources.list(5).
 */

/** One place to fetch from; `signedBy` is a key file, or keys, as apt takes them. */
export interface DebianSource {
  readonly uri: string;
  readonly suite: string;
  readonly signedBy: string;
}

/** Debian release of the domains. */
export const debianSuite = "bookworm";

const suites = new Set([debianSuite, `${debianSuite}-updates`, `${debianSuite}-security`]);
const debianKeys = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What a machine uses that names no Debian mirror of its own. */
const defaults: readonly DebianSource[] = [
  { uri: "http://deb.debian.org/debian", suite: debianSuite, signedBy: debianKeys },
  { uri: "http://deb.debian.org/debian", suite: `${debianSuite}-updates`, signedBy: debianKeys },
  { uri: "http://deb.debian.org/debian-security", suite: `${debianSuite}-security`, signedBy: debianKeys },
];

/**
 * Sources of Debian's component `main` for `debianSuite`. Other vendors' sources fall out by suite, by component, or,
 * where they imitate both, by Debian's key, which apt demands of every source that does not name another.
 */
export function debianSources(
  files: readonly { readonly name: string; readonly text: string }[],
): DebianSource[] {
  const found = files.flatMap(({ name, text }) => (name.endsWith(".sources") ? deb822(text) : oneLine(text)));
  const main = found.filter(({ suite }) => suite === debianSuite);
  return main.length === 0 ? [...defaults] : found;
}

/** As the text of a `.sources` file. */
export function formatSources(sources: readonly DebianSource[]): string {
  const stanzas = sources.map(({ uri, suite, signedBy }) =>
    [
      `Types: deb`,
      `URIs: ${uri}`,
      `Suites: ${suite}`,
      `Components: main`,
      `Signed-By:${fold(signedBy)}`,
    ].join("\n"),
  );
  return `${stanzas.join("\n\n")}\n`;
}

function fold(value: string): string {
  return value.includes("\n") ? `\n${value}` : ` ${value}`;
}

function deb822(text: string): DebianSource[] {
  return text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n")
    .split(/\n\s*\n/)
    .flatMap((stanza) => stanzaSources(fieldsOf(stanza)));
}

function stanzaSources(fields: ReadonlyMap<string, string>): DebianSource[] {
  const words = (name: string): string[] =>
    (fields.get(name) ?? "").split(/\s+/).filter((word) => word !== "");
  if (!words("types").includes("deb") || fields.get("enabled") === "no") return [];
  return matching(words("uris"), words("suites"), words("components"), fields.get("signed-by"));
}

/** Continuation lines start with white space and are kept, for keys inside the file. */
function fieldsOf(stanza: string): Map<string, string> {
  const fields = new Map<string, string>();
  let last = "";
  for (const line of stanza.split("\n")) {
    const field = /^([^\s:]+):\s*(.*)$/.exec(line);
    if (field?.[1] !== undefined) {
      last = field[1].toLowerCase();
      fields.set(last, (field[2] ?? "").trim());
    } else if (last !== "" && line.trim() !== "") {
      const before = fields.get(last) ?? "";
      fields.set(last, before === "" ? line : `${before}\n${line}`);
    }
  }
  return fields;
}

function oneLine(text: string): DebianSource[] {
  return text.split("\n").flatMap((line) => {
    const parts = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/.exec(line);
    if (parts === null) return [];
    const [, options = "", uri = "", suite = "", components = ""] = parts;
    const signedBy = /(?:^|\s)signed-by=(\S+)/.exec(options)?.[1];
    return matching([uri], [suite], components.trim().split(/\s+/), signedBy);
  });
}

function matching(
  uris: readonly string[],
  named: readonly string[],
  components: readonly string[],
  signedBy: string | undefined,
): DebianSource[] {
  if (!components.includes("main")) return [];
  const kept = named.filter((suite) => suites.has(suite));
  return uris.flatMap((uri) => kept.map((suite) => ({ uri, suite, signedBy: signedBy || debianKeys })));
}
