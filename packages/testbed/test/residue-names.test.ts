/** The names by which `residue` knows what the data path loads, against the data path itself. */
import t from "tap";
import { MAPS, PROGRAMS } from "../../version-router/datapath/kernel/structs.ts";
import { BPF_NAMES } from "../residue.ts";

/** The kernel keeps no more of a name. */
const NAME_BYTES_MAX = 15;

t.test("residue knows every program and map of the data path", async (t) => {
  for (const name of [...PROGRAMS, ...Object.keys(MAPS)]) {
    t.match(name.slice(0, NAME_BYTES_MAX), BPF_NAMES);
  }
});
