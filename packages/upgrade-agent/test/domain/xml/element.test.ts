import * as fc from "fast-check";
import t from "tap";
import { element, escapeText, render } from "../../../domain/xml/element.ts";
import { codePoint } from "../../../../version-router/test/properties/code-point.ts";

/** Undoes the escapes, as an XML parser does. */
function unescape(text: string): string {
  const named: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replaceAll(/&(?:#(\d+)|(\w+));/g, (_, code, name) =>
    code === undefined ? (named[String(name)] ?? "") : String.fromCodePoint(Number(code)),
  );
}

/** The production `Char` of XML 1.0. */
function isAllowed(character: string): boolean {
  const point = character.codePointAt(0) ?? 0;
  if (point < 0x20) return [0x9, 0xa, 0xd].includes(point);
  return point < 0xd800 || (point > 0xdfff && point !== 0xfffe && point !== 0xffff);
}

t.test("no text breaks out of its place, and a parser reads it back unchanged", async () => {
  const text = fc
    .string({ unit: codePoint })
    .filter((value) => Array.from(value).every((character) => isAllowed(character)));
  fc.assert(
    fc.property(text, (value) => {
      const escaped = escapeText(value);
      return !/[<>"'\n\r\t]/.test(escaped) && unescape(escaped) === value;
    }),
  );
});

t.test("text that XML cannot carry is refused", async (t) => {
  for (const text of ["\u0000", "a\u001bb", "\ud800", "\uffff"]) {
    t.throws(() => escapeText(text), { code: "E_DOMAIN" }, JSON.stringify(text));
  }
});

t.test("elements nest, text stays on its line, absent children are left out", async (t) => {
  const tree = element("a", { x: 1, y: "<" }, element("b", {}, "t & u"), undefined, element("c"));
  t.equal(render(tree), '<a x="1" y="&lt;">\n  <b>t &amp; u</b>\n  <c/>\n</a>\n');
});
