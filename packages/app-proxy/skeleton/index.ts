/** What `vm-upgrade init --proxy KIND` writes: a commented proxy module and its test, as text. */
export {
  PROXY_KINDS,
  proxySkeleton,
  type ProxyKind,
  type ProxySkeleton,
  type SkeletonFile,
} from "./skeleton.ts";
