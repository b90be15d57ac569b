/** Where `bpf/build.sh` leaves the compiled programs: in `bpf/` beside this file, in the sources and in `dist`. */
import { fileURLToPath } from "node:url";

export const BPF_OBJECT = fileURLToPath(new URL("bpf/router.bpf.o", import.meta.url));
