/** Another's encoder, to test against; the agent's package depends on it, this one does not. */
import { createRequire } from "node:module";

interface Msgpackr {
  readonly Packr: new (options: { readonly useRecords: boolean; readonly mapsAsObjects?: boolean }) => {
    pack(value: unknown): Buffer;
    unpack(bytes: Uint8Array): unknown;
  };
}

const agent = new URL("../../../../upgrade-agent/package.json", import.meta.url);
const { Packr } = createRequire(agent)("msgpackr") as Msgpackr;

export const packr = new Packr({ useRecords: false });

/** Reads maps whose keys are maps or lists, too: objects cannot have such keys. */
export const anyKeys = new Packr({ useRecords: false, mapsAsObjects: false });
