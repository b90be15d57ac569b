/** Messages that end with a delimiter. */
export { LINES_MESSAGE_BYTES_MAX, linesFraming, type LinesOptions } from "./framing.ts";
