/** What becomes of a connection that was accepted: whose it is, as far as its addresses tell, or why it is refused. */
import { reset } from "./sockets.ts";
import { Stream } from "./stream.ts";
import { NOBODY } from "./tally.ts";
import type { StreamScene } from "./scene.ts";
import type { Accepted } from "./stream.ts";

/** A domain opens to a peer. */
export function beginOutward(scene: StreamScene, accepted: Accepted): void {
  const { source, destination } = accepted;
  const routes = scene.routes();
  const domain = routes.at(source.address);
  if (domain === undefined || !routes.isPeerPort(domain, "tcp", destination.port)) {
    scene.tally.count(domain ?? NOBODY, "port_not_registered", 0);
    reset(accepted.fd);
  } else if (routes.isManaged(destination.address)) {
    new Stream(scene, "outward", accepted, domain).begin(scene.forms.first(destination.address));
  } else {
    scene.tally.count(domain, "unmanaged", 0);
    reset(accepted.fd);
  }
}

/** A peer opens, and its SYN bore an option. */
export function beginWithOption(scene: StreamScene, accepted: Accepted): void {
  new Stream(scene, "inward", accepted).begin("option");
}

/** Somebody opens to one of our ports. */
export function beginInward(scene: StreamScene, accepted: Accepted): void {
  const { port } = accepted.destination;
  const routes = scene.routes();
  if (!routes.isAnyPeerPort("tcp", port)) return beginClient(scene, accepted);
  new Stream(scene, "inward", accepted).begin("stream", routes.isAnyClientPort("tcp", port));
}

/** A client opens, or somebody of whom there is no mark at a port that is for clients too. */
export function beginClient(scene: StreamScene, accepted: Accepted): void {
  const { port } = accepted.destination;
  const routes = scene.routes();
  const domain = routes.clientDomain("tcp", port);
  if (domain !== undefined) return new Stream(scene, "client", accepted, domain).begin("stream");
  const verdict = routes.isAnyPeerPort("tcp", port) ? "unmarked" : "port_not_registered";
  scene.tally.count({ tag: routes.tagOfPort("tcp", port), version: 0 }, verdict, 0);
  reset(accepted.fd);
}
