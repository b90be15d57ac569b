import * as fc from "fast-check";

const SURROGATES_FROM = 0xd800;
const SURROGATES = 0x800;
const POINTS = 0x11_0000;
const ASCII = 0x80;

const character = (index: number): string =>
  String.fromCodePoint(index < SURROGATES_FROM ? index : index + SURROGATES);

/** The other way, by which fast-check makes its known troublesome strings of these characters. */
function indexOf(text: unknown): number {
  const point = typeof text === "string" ? text.codePointAt(0) : undefined;
  if (point === undefined || String.fromCodePoint(point) !== text || !text.isWellFormed())
    throw new Error("not one character");
  return point < SURROGATES_FROM ? point : point - SURROGATES;
}

/**
 * Any one character of Unicode, every other one of ASCII, for `fc.string({ unit: codePoint })`. fast-check's "binary"
 * lists all 1.1 million of them before the first case, a second of each file that asks for it, and hits few of ASCII.
 */
export const codePoint = fc.oneof(
  fc.nat(ASCII - 1).map(character, indexOf),
  fc.nat(POINTS - SURROGATES - 1).map(character, indexOf),
);
