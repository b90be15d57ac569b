/** Colours and widths of the terminal; without a terminal everything is plain text. */

export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly red: (text: string) => string;
  readonly cyan: (text: string) => string;
}

const wrap = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`;

const plainText = (text: string) => text;

export const colours: Style = {
  bold: wrap(1, 22),
  dim: wrap(2, 22),
  green: wrap(32, 39),
  yellow: wrap(33, 39),
  red: wrap(31, 39),
  cyan: wrap(36, 39),
};

export const plain: Style = {
  bold: plainText,
  dim: plainText,
  green: plainText,
  yellow: plainText,
  red: plainText,
  cyan: plainText,
};

/** Colours only where a person looks, and not against NO_COLOR (no-color.org). */
export function styleFor(stream: { readonly isTTY?: boolean }, environment: NodeJS.ProcessEnv): Style {
  return stream.isTTY === true && environment["NO_COLOR"] === undefined ? colours : plain;
}
