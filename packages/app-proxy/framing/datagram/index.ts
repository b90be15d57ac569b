export {
  datagramFraming,
  type DatagramFraming,
  type DatagramIds,
  type DatagramOptions,
  type DatagramWords,
} from "./framing.ts";
