/** Pure rules about paths and links inside a release: what may stand in a tarball, and what can leave its tree. */
import { PATH_BYTES_MAX } from "./limits.ts";

/**
 * The one spelling of an entry's path: relative, no `.`, no `..`, no trailing slash; `""` for the root itself.
 * Undefined when the path is absolute, climbs, is too long or cannot be a path.
 */
export function entryPath(path: string): string | undefined {
  if (path.startsWith("/") || path.includes("\0") || Buffer.byteLength(path) > PATH_BYTES_MAX)
    return undefined;
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") ? undefined : parts.join("/");
}

/**
 * Whether a symbolic link at `path` stays inside the tree whatever else is in it. `..` is allowed only at the beginning
 * of the target and no higher than the root: further on it could follow another link and climb from there.
 * Holds as long as no link is a directory of another entry's path, see `throughLink`.
 */
export function linkStaysInside(path: string, target: string): boolean {
  if (target === "" || target.startsWith("/") || target.includes("\0")) return false;
  const parts = target.split("/").filter((part) => part !== "" && part !== ".");
  const climbs = parts.findIndex((part) => part !== "..");
  const up = climbs === -1 ? parts.length : climbs;
  return up <= path.split("/").length - 1 && !parts.slice(up).includes("..");
}

/** The first of `links` that lies on the way to `path`, or undefined. */
export function throughLink(path: string, links: ReadonlySet<string>): string | undefined {
  if (links.size === 0) return undefined;
  for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
    const directory = path.slice(0, slash);
    if (links.has(directory)) return directory;
  }
  return undefined;
}
