/** Where a libvirtd is: the path of its unix socket, or `tcp://host[:port]`. Pure. */
import type { NetConnectOpts } from "node:net";

/** IANA's port of libvirt without TLS. */
const TCP_PORT = 16_509;

/**
 * libvirt's TCP listener neither encrypts nor asks who calls, so it belongs on loopback, behind a tunnel, or on a test
 * host. Throws TypeError when a `tcp:` address is none.
 */
export function endpointOf(address: string): NetConnectOpts {
  if (!address.startsWith("tcp:")) return { path: address };
  const { hostname, port, pathname } = new URL(address);
  if (hostname === "" || !["", "/"].includes(pathname))
    throw new TypeError(`${address} is no tcp://host:port`);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? TCP_PORT : Number(port) };
}
