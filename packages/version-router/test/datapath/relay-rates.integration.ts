/** What a domain may send and receive over the relay: nftables' buckets instead of the programs'. */
import t from "tap";
import { Lab, whyNoLab } from "./lab.ts";
import { boundCases } from "./rate/bounds.ts";

const skip = whyNoLab();
if (skip === false) {
  const lab = await Lab.create(1, ["relay"]);
  t.teardown(() => lab.close());
  await boundCases(t, lab, "relay");
} else t.plan(0, skip);
