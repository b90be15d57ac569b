/** What a relayed connection has of the relay around it. */
import type { PeerForms } from "./peer-forms.ts";
import type { Poller } from "./poller.ts";
import type { RoutedDomain, Routes } from "./routes.ts";
import type { Accepted, Stream } from "./stream.ts";
import type { Tally } from "./tally.ts";

export interface StreamScene {
  readonly poller: Poller;
  readonly tally: Tally;
  readonly routes: () => Routes;
  readonly nowMs: () => number;
  readonly forms: PeerForms;
  /** A connection to a peer port that turned out to be a client's. */
  readonly beginClient: (accepted: Accepted) => void;
  /** SYNs that shall get an option, by `synKey`: whose version it names. */
  readonly optionSyns: Map<string, RoutedDomain>;
  /** Has more to do at once, after the others had their turn. */
  readonly busy: Set<Stream>;
  /** Not open yet: each has a deadline. */
  readonly opening: Set<Stream>;
  readonly all: Set<Stream>;
}
