/** XML as a tree of elements, so that nothing is ever pasted into markup. Pure. */
import { AgentError } from "../../errors.ts";

export type Attributes = Readonly<Record<string, string | number>>;

export interface Element {
  readonly name: string;
  readonly attributes: Attributes;
  readonly children: readonly (Element | string)[];
}

/** `undefined` children are left out, so that optional parts can be written in place. */
export function element(
  name: string,
  attributes: Attributes = {},
  ...children: readonly (Element | string | undefined)[]
): Element {
  return { name, attributes, children: children.filter((child) => child !== undefined) };
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};

/** Characters that XML 1.0 cannot carry at all, not even escaped. */
// oxlint-disable-next-line no-control-regex -- those are the ones
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/u;

/** Throws E_DOMAIN for text with characters that XML cannot carry. */
export function escapeText(text: string): string {
  if (FORBIDDEN.test(text)) {
    throw new AgentError(
      "E_DOMAIN",
      `${JSON.stringify(text)} has characters that XML cannot carry; remove them.`,
    );
  }
  return text.replaceAll(/[&<>"'\t\n\r]/g, (character) => ESCAPES[character] ?? character);
}

/** Two blanks per level; text stays unbroken, since blanks in it may matter. */
export function render(node: Element, indent = ""): string {
  const attributes = Object.entries(node.attributes).map(
    ([key, value]) => ` ${key}="${escapeText(String(value))}"`,
  );
  const open = `${indent}<${node.name}${attributes.join("")}`;
  if (node.children.length === 0) return `${open}/>\n`;
  const only = node.children[0];
  if (node.children.length === 1 && typeof only === "string")
    return `${open}>${escapeText(only)}</${node.name}>\n`;
  const inner = node.children.map((child) =>
    typeof child === "string" ? `${indent}  ${escapeText(child)}\n` : render(child, `${indent}  `),
  );
  return `${open}>\n${inner.join("")}${indent}</${node.name}>\n`;
}
