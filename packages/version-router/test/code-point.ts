import * as fc from "fast-check";

const SURROGATES_FROM = 0xd800;
const SURROGATES = 0x800;
const POINTS = 0x11_0000;

/**
 * Any one character of Unicode, for `fc.string({ unit: codePoint })`. The same as fast-check's "binary", which lists all
 * 1.1 million of them before the first case: a second of each file that asks for it.
 */
export const codePoint = fc.nat(POINTS - SURROGATES - 1).map(
  (index) => String.fromCodePoint(index < SURROGATES_FROM ? index : index + SURROGATES),
  (text) => {
    const point = typeof text === "string" ? text.codePointAt(0) : undefined;
    if (point === undefined || String.fromCodePoint(point) !== text || !text.isWellFormed())
      throw new Error("not one character");
    return point < SURROGATES_FROM ? point : point - SURROGATES;
  },
);
