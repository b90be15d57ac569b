/**
 * Starts what a first domain of Xen runs, inside an emulated machine; with the word `libvirtd` one for the machine
 * itself, which nodes of a testbed do not need: each has its own.
 */
import { startMachineLibvirtd, startXenDaemons } from "./xen-daemons.ts";

await startXenDaemons();
if (process.argv[2] === "libvirtd") await startMachineLibvirtd();
