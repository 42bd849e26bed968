// Where the names of clusters go, so that none lies on another.

const LABEL_HEIGHT = 22;
const TRIES = [0, 1, -1, 2, -2, 3, -3];

/**
 * @param {{at: number[], width: number}[]} wanted Middle of each label and its width, CSS pixels; the first ones
 *   have the first choice.
 * @param {number} width Of the canvas; labels whose place is outside are left out, others are kept within.
 * @param {number} height
 * @returns {object[]} The labels with the places found for them; those without any room are left out.
 */
export function placedLabels(wanted, width, height) {
  const placed = [];
  for (const label of wanted) {
    const [x, y] = label.at;
    if (x < 0 || y < 0 || x > width || y > height) continue;
    const half = label.width / 2 + 2;
    const across = Math.min(Math.max(x, half), Math.max(half, width - half));
    for (const lines of TRIES) {
      const down = Math.min(Math.max(y + lines * LABEL_HEIGHT, 12), height - 12);
      const free = placed.every(
        ({ at: [otherX, otherY], width: otherWidth }) =>
          Math.abs(otherX - across) >= half + otherWidth / 2 || Math.abs(otherY - down) >= LABEL_HEIGHT - 1,
      );
      if (free) {
        placed.push({ ...label, at: [across, down] });
        break;
      }
    }
  }
  return placed;
}
