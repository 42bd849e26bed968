// Marks of points whose data are changed. Where they would lie on each other, only some are drawn: colours stay
// to be seen below them, and tens of thousands of marks would keep a gesture waiting.

export const FLAG_BITS = Object.freeze({ weighed: 1, relabelled: 2, excluded: 4 });

/**
 * The points that get a mark of one kind: of those within a cell of the screen the first. Cells lie on the map and
 * not on the screen, so that marks stay with their points while the map is moved.
 *
 * @param {Float32Array} xy x0 y0 x1 y1 …
 * @param {Int32Array} rows Those that may get one.
 * @param {Uint8Array} flags
 * @param {number} bit One of `FLAG_BITS`.
 * @param {{affine: number[], width: number, height: number, cell: number}} screen From positions to pixels, and how
 *   many of them a cell is wide.
 * @returns {number[]} Rows, none outside the screen.
 */
export function markedRows(xy, rows, flags, bit, { affine: [a, b, c, d, e, f], width, height, cell }) {
  const columns = Math.ceil(width / cell) + 2;
  const taken = new Uint8Array(columns * (Math.ceil(height / cell) + 2));
  const [left, top] = [Math.floor(-e / cell), Math.floor(-f / cell)];
  const marked = [];
  for (const row of rows) {
    if (!(flags[row] & bit)) continue;
    const x = a * xy[2 * row] + c * xy[2 * row + 1];
    const y = b * xy[2 * row] + d * xy[2 * row + 1];
    if (!(x + e >= 0 && x + e < width && y + f >= 0 && y + f < height)) continue;
    const at = (Math.floor(y / cell) - top) * columns + Math.floor(x / cell) - left;
    if (taken[at]) continue;
    taken[at] = 1;
    marked.push(row);
  }
  return marked;
}
