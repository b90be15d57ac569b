/** RESP values as JavaScript's, for the few places where a proxy looks into a reply or makes one. */

/** An error as a value; codes come first: `new RespError("ERR no such thing")`. */
export class RespError {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type RespValue =
  | string
  | Buffer
  | number
  | bigint
  | boolean
  | null
  | RespError
  | readonly RespValue[]
  | Set<RespValue>
  | Map<RespValue, RespValue>;

/**
 * The bytes of a value. Strings become simple strings when they have no line ends, Buffers bulk strings; whole numbers
 * integers. Null is RESP 2's, which clients of RESP 3 understand too; booleans, other numbers, sets and maps are RESP 3.
 */
export function respEncode(value: RespValue): Buffer {
  const parts: Buffer[] = [];
  write(value, parts);
  return Buffer.concat(parts);
}

function write(value: RespValue, parts: Buffer[]): void {
  const text = (line: string): unknown => parts.push(Buffer.from(`${line}\r\n`));
  if (value === null) text("$-1");
  else if (typeof value === "string" && !/[\r\n]/.test(value)) text(`+${value}`);
  else if (typeof value === "string" || Buffer.isBuffer(value)) {
    const bytes = Buffer.from(value as Buffer);
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n"));
  } else if (typeof value === "boolean") text(value ? "#t" : "#f");
  else if (typeof value === "bigint") text(`:${value}`);
  else if (typeof value === "number")
    text(Number.isSafeInteger(value) ? `:${value}` : `,${doubleText(value)}`);
  else if (value instanceof RespError) text(`-${value.text.replaceAll(/[\r\n]+/g, " ")}`);
  else writeAggregate(value, parts);
}

function writeAggregate(
  value: readonly RespValue[] | Set<RespValue> | Map<RespValue, RespValue>,
  parts: Buffer[],
): void {
  const members = value instanceof Map ? [...value].flat() : [...value];
  const type = value instanceof Map ? "%" : value instanceof Set ? "~" : "*";
  parts.push(Buffer.from(`${type}${type === "%" ? members.length / 2 : members.length}\r\n`));
  for (const member of members) write(member, parts);
}

function doubleText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  return Number.isFinite(value) ? String(value) : value > 0 ? "inf" : "-inf";
}

/** The value of a whole message that the framing gave. Attributes are passed over; integers beyond 2⁵³ are bigints. */
export function respDecode(bytes: Uint8Array): RespValue {
  return new Decoder(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).value();
}

const ATTRIBUTE = 0x7c;

class Decoder {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  value(): RespValue {
    while (this.#bytes[this.#position] === ATTRIBUTE) this.#map(Number(this.#head().line));
    const { type, line } = this.#head();
    switch (type) {
      case "+":
        return line;
      case "-":
        return new RespError(line);
      case ":":
      case "(":
        return Number.isSafeInteger(Number(line)) ? Number(line) : BigInt(line);
      case ",":
        return line.endsWith("inf") ? (line.startsWith("-") ? -Infinity : Infinity) : Number(line);
      case "#":
        return line === "t";
      case "$":
        return line === "-1" ? null : this.#take(Number(line));
      case "=":
        return this.#take(Number(line)).subarray(4);
      case "!":
        return new RespError(this.#take(Number(line)).toString());
      case "*":
      case ">":
        return line === "-1" ? null : this.#values(Number(line));
      case "~":
        return new Set(this.#values(Number(line)));
      case "%":
        return this.#map(Number(line));
      default:
        return null;
    }
  }

  #head(): { readonly type: string; readonly line: string } {
    const start = this.#position;
    const end = this.#bytes.indexOf("\r\n", start);
    this.#position = end + 2;
    const type = this.#bytes.toString("latin1", start, start + 1);
    return { type, line: this.#bytes.toString("utf8", start + 1, end) };
  }

  #take(length: number): Buffer {
    const start = this.#position;
    this.#position += length + 2;
    return this.#bytes.subarray(start, start + length);
  }

  #values(count: number): RespValue[] {
    return Array.from({ length: count }, () => this.value());
  }

  #map(count: number): Map<RespValue, RespValue> {
    return new Map(Array.from({ length: count }, () => [this.value(), this.value()]));
  }
}
