/** Archives made by hand, also such as no tool makes. */
import { createHash } from "node:crypto";
import { Header } from "tar";

export interface Entry {
  readonly path: string;
  readonly type?: "File" | "Directory" | "SymbolicLink" | "Link" | "CharacterDevice" | "BlockDevice" | "FIFO";
  readonly contents?: string | Buffer;
  readonly linkpath?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Instead of the true one. */
  readonly size?: number;
}

export function tarball(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.map(block), Buffer.alloc(1024)]);
}

function block({
  path,
  type = "File",
  contents = "",
  linkpath,
  mode = 0o644,
  uid = 0,
  gid = 0,
  size,
}: Entry): Buffer {
  const body = Buffer.from(contents);
  const header = new Header({
    path,
    type,
    mode,
    uid,
    gid,
    size: size ?? body.length,
    mtime: new Date(1e12),
    ...(linkpath === undefined ? {} : { linkpath }),
  });
  header.encode();
  return Buffer.concat([
    header.block ?? Buffer.alloc(0),
    body,
    Buffer.alloc((512 - (body.length % 512)) % 512),
  ]);
}

export function sha256(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** As `docker save` lays it out. */
export function dockerArchive(layers: readonly Buffer[], config: object = {}): Buffer {
  const description = {
    architecture: "amd64",
    os: "linux",
    config,
    rootfs: { diff_ids: layers.map(sha256) },
  };
  const manifest = [{ Config: "config.json", Layers: layers.map((_, at) => `${at}/layer.tar`) }];
  return tarball([
    { path: "manifest.json", contents: JSON.stringify(manifest) },
    { path: "config.json", contents: JSON.stringify(description) },
    ...layers.map((contents, at) => ({ path: `${at}/layer.tar`, contents })),
  ]);
}

/** As `podman save --format oci-archive` lays it out; `stored` are the layers as they lie in it, packed or not. */
export function ociArchive(
  layers: readonly Buffer[],
  stored: readonly Buffer[] = layers,
  config: object = {},
): Buffer {
  const blobs = new Map<string, Buffer>();
  const keep = (bytes: Buffer): { digest: string; size: number } => {
    blobs.set(sha256(bytes), bytes);
    return { digest: sha256(bytes), size: bytes.length };
  };
  const description = {
    architecture: "amd64",
    os: "linux",
    config,
    rootfs: { diff_ids: layers.map(sha256) },
  };
  const manifest = {
    schemaVersion: 2,
    config: keep(Buffer.from(JSON.stringify(description))),
    layers: stored.map(keep),
  };
  const index = { schemaVersion: 2, manifests: [keep(Buffer.from(JSON.stringify(manifest)))] };
  return tarball([
    { path: "oci-layout", contents: '{"imageLayoutVersion":"1.0.0"}' },
    { path: "index.json", contents: JSON.stringify(index) },
    ...[...blobs].map(([digest, contents]) => ({ path: `blobs/${digest.replace(":", "/")}`, contents })),
  ]);
}
