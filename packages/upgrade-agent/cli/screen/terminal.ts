/** Redraws a block of lines in place; without a terminal it prints a block only when it changed. */

export interface Screen {
  draw(lines: readonly string[]): void;
  /** Leaves what is drawn where it is, because something else is printed below it. */
  release(): void;
}

export function createScreen(stream: NodeJS.WriteStream): Screen {
  let drawn = 0;
  let last = "";
  return {
    draw(lines) {
      const text = lines.join("\n");
      if (!stream.isTTY) {
        if (text !== last) stream.write(`${text}\n\n`);
        last = text;
        return;
      }
      const up = drawn > 0 ? `\u001b[${drawn}A` : "";
      stream.write(`${up}${lines.map((line) => `\u001b[2K${line}\n`).join("")}\u001b[0J`);
      drawn = lines.length;
    },
    release() {
      drawn = 0;
    },
  };
}
