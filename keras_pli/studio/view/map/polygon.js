// Which points a polygon encloses: the rule of the package's `Polygon` selection, so that what the page
// shows as selected is what the server selects.
//
// A point is inside where a ray from it crosses the outline an odd number of times, and on the outline up to
// the rounding of float32. A lasso has tens of edges and a map a million points: on a grid over the polygon all
// points of a cell that no edge comes near are alike.

const FLOAT32_EPSILON = 2 ** -23;
const MOST_SLABS = 512;
// What is known of a cell of the grid over the polygon.
const UNKNOWN = 0;
const OUTSIDE = 1;
const INSIDE = 2;
const CROSSED = 3;

/**
 * @param {Float32Array|Float64Array} xy Points x0 y0 x1 y1 …; those that are NaN are outside.
 * @param {number[][]} vertices Corners in order; the last is joined to the first.
 * @param {{extent?: number}} [options] extent: the greatest absolute coordinate of the points, where known.
 * @returns {Uint8Array} 1 for each point inside or on the outline.
 */
export function pointsInPolygon(xy, vertices, { extent = greatestCoordinate(xy) } = {}) {
  const inside = new Uint8Array(xy.length / 2);
  const tolerance = FLOAT32_EPSILON * Math.max(extent, greatestCoordinate(vertices.flat()));
  const left = Math.min(...vertices.map(([x]) => x)) - tolerance;
  const right = Math.max(...vertices.map(([x]) => x)) + tolerance;
  const bottom = Math.min(...vertices.map(([, y]) => y)) - tolerance;
  const top = Math.max(...vertices.map(([, y]) => y)) + tolerance;
  const edges = edgesOf(vertices);
  const cells = cellsOf(edges, { left, right, bottom, top, tolerance });
  const { slabs, states, side, perX, perY } = cells;
  for (let k = 0; k < inside.length; k += 1) {
    const x = xy[2 * k];
    const y = xy[2 * k + 1];
    // Written so that NaN fails.
    if (!(x >= left && x <= right && y >= bottom && y <= top)) continue;
    const slab = Math.min(side - 1, ((y - bottom) * perY) | 0);
    const cell = slab * side + Math.min(side - 1, ((x - left) * perX) | 0);
    // All of a cell that no edge comes near is as its first point.
    if (states[cell] === UNKNOWN) states[cell] = enclosedBy(slabs[slab], x, y, tolerance) ? INSIDE : OUTSIDE;
    if (states[cell] === INSIDE) inside[k] = 1;
    else if (states[cell] === CROSSED && enclosedBy(slabs[slab], x, y, tolerance)) inside[k] = 1;
  }
  return inside;
}

/** The corners of the box between two opposite ones. */
export function boxVertices([x0, y0], [x1, y1]) {
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
}

/** The greatest absolute finite number of an array; 0 of an empty one. */
export function greatestCoordinate(numbers) {
  let greatest = 0;
  for (let k = 0; k < numbers.length; k += 1) {
    const size = Math.abs(numbers[k]);
    if (size > greatest && size !== Infinity) greatest = size;
  }
  return greatest;
}

/**
 * A drawn path without the corners that lie within `tolerance` of the line between those kept
 * (Douglas and Peucker).
 * @param {number[][]} path
 * @param {number} tolerance In the unit of the path.
 * @returns {number[][]}
 */
export function thinnedPath(path, tolerance) {
  if (path.length < 3) return path.slice();
  const keep = new Uint8Array(path.length);
  keep[0] = keep[path.length - 1] = 1;
  const spans = [[0, path.length - 1]];
  while (spans.length) {
    const [start, end] = spans.pop();
    let farthest = tolerance;
    let at = -1;
    for (let k = start + 1; k < end; k += 1) {
      const away = distanceToSegment(path[k], path[start], path[end]);
      if (away > farthest) [farthest, at] = [away, k];
    }
    if (at < 0) continue;
    keep[at] = 1;
    spans.push([start, at], [at, end]);
  }
  return path.filter((_, k) => keep[k]);
}

function distanceToSegment([x, y], [x0, y0], [x1, y1]) {
  const dx = x1 - x0;
  const dy = y1 - y0;
  const squared = dx * dx + dy * dy;
  const along = squared ? Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / squared)) : 0;
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}

/** Eight numbers an edge: start, end, direction, squared length, length. */
function edgesOf(vertices) {
  const edges = [];
  vertices.forEach(([x0, y0], k) => {
    const [x1, y1] = vertices[(k + 1) % vertices.length];
    const dx = x1 - x0;
    const dy = y1 - y0;
    if (dx !== 0 || dy !== 0) edges.push([x0, y0, x1, y1, dx, dy, dx * dx + dy * dy, Math.hypot(dx, dy)]);
  });
  return edges;
}

/** A grid over the polygon: in each slab of y the edges that come near it, and the cells that edges come near. */
function cellsOf(edges, { left, right, bottom, top, tolerance }) {
  const side = Math.min(MOST_SLABS, Math.max(16, 4 * edges.length));
  const perX = side / (right - left);
  const perY = side / (top - bottom);
  const within = (place) => Math.min(side - 1, Math.max(0, place));
  const near = Array.from({ length: side }, () => []);
  const states = new Uint8Array(side * side);
  for (const edge of edges) {
    const [x0, y0, x1, y1, dx, dy] = edge;
    // One cell more on every side, so that no rounding of a place loses an edge.
    const low = within(Math.floor((Math.min(y0, y1) - tolerance - bottom) * perY) - 1);
    const high = within(Math.floor((Math.max(y0, y1) + tolerance - bottom) * perY) + 1);
    for (let slab = low; slab <= high; slab += 1) {
      near[slab].push(...edge);
      // The part of the edge within this slab and both beside it.
      const along = [slab - 1, slab + 2].map((line) => {
        const share = dy === 0 ? NaN : (bottom + line / perY - y0) / dy;
        return x0 + dx * Math.min(1, Math.max(0, share));
      });
      const [from, to] = dy === 0 ? [x0, x1] : along;
      const first = within(Math.floor((Math.min(from, to) - tolerance - left) * perX) - 1);
      const last = within(Math.floor((Math.max(from, to) + tolerance - left) * perX) + 1);
      states.fill(CROSSED, slab * side + first, slab * side + last + 1);
    }
  }
  return { slabs: near.map((numbers) => Float64Array.from(numbers)), states, side, perX, perY };
}

function enclosedBy(edges, x, y, tolerance) {
  let odd = false;
  let outline = false;
  for (let at = 0; at < edges.length; at += 8) {
    const dx = edges[at + 4];
    const dy = edges[at + 5];
    const fromX = x - edges[at];
    const fromY = y - edges[at + 1];
    const cross = dx * fromY - dy * fromX;
    // Half-open in y, so that a ray through a corner meets one of its two edges, not both.
    if (edges[at + 1] > y !== edges[at + 3] > y && cross > 0 === dy > 0) odd = !odd;
    // No point of an edge is nearer than the line through it.
    if (Math.abs(cross) <= 1.001 * tolerance * edges[at + 7]) {
      const along = Math.min(1, Math.max(0, (fromX * dx + fromY * dy) / edges[at + 6]));
      if (Math.hypot(fromX - along * dx, fromY - along * dy) <= tolerance) outline = true;
    }
  }
  return odd || outline;
}
