/** Messages behind their length. */
export { LENGTH_PREFIX_MESSAGE_BYTES_MAX, lengthPrefixFraming, type LengthPrefixOptions } from "./framing.ts";
