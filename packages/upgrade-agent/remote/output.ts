/** Keeping the end of what a command says, however much it is. Pure. */
import { StringDecoder } from "node:string_decoder";

/** Bytes of the end of a command's output that are kept. */
export const outputTailBytes = 65_536;

export class OutputTail {
  readonly #most: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #dropped = 0;

  constructor(most: number = outputTailBytes) {
    this.#most = most;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > 2 * this.#most) this.#shorten();
  }

  #shorten(): void {
    const whole = Buffer.concat(this.#chunks);
    const tail = whole.subarray(Math.max(0, whole.length - this.#most));
    this.#dropped += whole.length - tail.length;
    // A copy, because a view would keep the whole alive.
    this.#chunks = [Buffer.from(tail)];
    this.#bytes = tail.length;
  }

  /** The end as text, with a first line that says how much is missing when some is. */
  text(): string {
    this.#shorten();
    const tail = this.#chunks[0] ?? Buffer.alloc(0);
    if (this.#dropped === 0) return tail.toString();
    // Bytes 10xxxxxx continue a character whose beginning is gone.
    const start = tail.findIndex((byte) => (byte & 0xc0) !== 0x80);
    return `[${this.#dropped} bytes before this are not kept]\n${tail.toString("utf8", Math.max(0, start))}`;
  }
}

/** Turns chunks into text without cutting characters in two. */
export function textListener(listen: (text: string) => void): (chunk: Buffer) => void {
  const decoder = new StringDecoder("utf8");
  return (chunk) => {
    const text = decoder.write(chunk);
    if (text !== "") listen(text);
  };
}
