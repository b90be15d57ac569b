/** Which lines of apt's lists are Debian's own. */
import t from "tap";
import { debianSources, formatSources } from "../../../image/build/debian-sources.ts";

const keys = "/usr/share/keyrings/debian-archive-keyring.gpg";

t.test("Debian 12's own file", async (t) => {
  const text = [
    "Types: deb deb-src",
    "# http://snapshot.debian.org/archive/debian/20250520T000000Z",
    "URIs: http://mirror.example/debian",
    "Suites: bookworm bookworm-updates",
    "Components: main contrib",
    `Signed-By: ${keys}`,
    "",
    "Types: deb",
    "URIs: http://mirror.example/debian-security",
    "Suites: bookworm-security",
    "Components: main",
  ].join("\n");
  t.same(debianSources([{ name: "debian.sources", text }]), [
    { uri: "http://mirror.example/debian", suite: "bookworm", signedBy: keys },
    { uri: "http://mirror.example/debian", suite: "bookworm-updates", signedBy: keys },
    { uri: "http://mirror.example/debian-security", suite: "bookworm-security", signedBy: keys },
  ]);
});

t.test("one-line lists, with options and comments", async (t) => {
  const text = [
    "# deb http://old.example/debian bookworm main",
    "deb [arch=amd64 signed-by=/etc/k.gpg] http://mirror.example/debian bookworm main non-free # ours",
    "deb-src http://mirror.example/debian bookworm main",
    "deb http://mirror.example/debian-security bookworm-security main",
  ].join("\n");
  t.same(debianSources([{ name: "/etc/apt/sources.list", text }]), [
    { uri: "http://mirror.example/debian", suite: "bookworm", signedBy: "/etc/k.gpg" },
    { uri: "http://mirror.example/debian-security", suite: "bookworm-security", signedBy: keys },
  ]);
});

t.test("other vendors, other suites and what is switched off stay out", async (t) => {
  const files = [
    {
      name: "a.list",
      text: "deb https://download.example/linux/debian bookworm stable\ndeb http://x.example bookworm main",
    },
    {
      name: "node.sources",
      text: "Types: deb\nURIs: https://deb.example\nSuites: nodistro\nComponents: main\n",
    },
    { name: "pg.list", text: "deb http://pg.example/apt bookworm-pgdg main" },
    {
      name: "off.sources",
      text: "Enabled: no\nTypes: deb\nURIs: http://o.example\nSuites: bookworm\nComponents: main",
    },
  ];
  t.same(
    debianSources(files).map(({ uri }) => uri),
    ["http://x.example"],
  );
});

t.test("a machine without a Debian mirror gets Debian's own", async (t) => {
  const sources = debianSources([
    { name: "ubuntu.list", text: "deb http://archive.example/ubuntu noble main" },
  ]);
  t.same(
    sources.map(({ suite }) => suite),
    ["bookworm", "bookworm-updates", "bookworm-security"],
  );
});

t.test("what is written is read again, keys inside the file too", async (t) => {
  const key = " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQENBF\n -----END PGP PUBLIC KEY BLOCK-----";
  const sources = [
    { uri: "http://a.example/debian", suite: "bookworm", signedBy: key },
    { uri: "http://b.example/debian", suite: "bookworm-updates", signedBy: keys },
  ];
  t.same(debianSources([{ name: "x.sources", text: formatSources(sources) }]), sources);
});
