/** A table of left-aligned columns; colours are applied after measuring, cell by cell. */

export interface Cell {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

export function table(rows: readonly (readonly (string | Cell)[])[]): string[] {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === "string" ? { text: cell } : cell)));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [column, cell] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, cell.text.length);
  }
  return cells.map((row) =>
    row
      .map((cell: Cell, column) => {
        const padded = column === row.length - 1 ? cell.text : cell.text.padEnd(widths[column] ?? 0);
        return cell.paint === undefined ? padded : cell.paint(padded);
      })
      .join("  ")
      .trimEnd(),
  );
}
