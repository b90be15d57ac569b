/** Makes a spare, and is killed over it: `node worker.ts LIBVIRT-SOCKET STATE-DIRECTORY`. */
import { createSpares, openHypervisor } from "../../../domain/index.ts";
import { storeIn } from "../../image/needs.ts";
import { SIZE } from "./ground.ts";

const [socket = "", home = ""] = process.argv.slice(2);
const hypervisor = await openHypervisor({ kind: "qemu", socket });
const spares = createSpares({ hypervisor, images: storeIn(home), budgetMiB: 512 });
await spares.open();
await spares.prepare(SIZE);
