// The eight shapes of classes, and the marks of changed data, as small masks of pixels.

const SAMPLES = 6; // a pixel's coverage is counted on so many times as many places

// How much larger than a circle's box a shape's must be to weigh as much.
const SHAPE_AREAS = { "^": 1.25, v: 1.25, s: 0.8, D: 0.72, P: 1.3, X: 1.3, "*": 1.9 };

const DIAGONAL = Math.SQRT1_2;
const triangleHolds = (x, y) => y >= -1 && y <= 1 && Math.abs(x) <= (1 - y) / 2;
const plusHolds = (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= 1 && Math.min(Math.abs(x), Math.abs(y)) <= 1 / 3;

/** Whether a shape of half-width 1 holds a place; y points up. */
const SHAPES = Object.freeze({
  o: (x, y) => x * x + y * y <= 1,
  "^": triangleHolds,
  v: (x, y) => triangleHolds(x, -y),
  s: (x, y) => Math.abs(x) <= 1 && Math.abs(y) <= 1,
  D: (x, y) => Math.abs(x) + Math.abs(y) <= Math.SQRT2,
  P: plusHolds,
  X: (x, y) => plusHolds((x + y) * DIAGONAL, (x - y) * DIAGONAL),
  "*": starHolds,
});

/** From this diameter in device pixels on, a point shows its class by its shape. */
export const LEAST_SHAPED = 5;

/** The most pixels that any stamp reaches from its place, for diameters up to `diameter`. */
export function stampReach(diameter) {
  return Math.ceil(diameter * 0.75) + 3;
}

/**
 * A shape as pixels: `dx`, `dy` from the pixel at its place, and how much of each it covers.
 * @param {string} shape One of o ^ s D v P X *; others are drawn as o.
 * @param {number} diameter Device pixels.
 * @param {{grow?: number, hollow?: number}} [options] grow: pixels added all around; hollow: the width of an
 *   outline instead of a filled shape.
 * @returns {{dx: Int16Array, dy: Int16Array, cover: Uint16Array, shift: number}} cover of 256; whole pixels
 *   first. `shift` is added to a position before it is cut to whole pixels.
 */
export function shapeStamp(shape, diameter, { grow = 0, hollow = 0 } = {}) {
  const holds = SHAPES[shape] ?? SHAPES.o;
  const half = (diameter / 2) * Math.sqrt(SHAPE_AREAS[shape] ?? 1) + grow;
  const inner = half - hollow;
  const covers = (x, y) =>
    holds(x / half, y / half) && !(hollow && inner > 0 && holds(x / inner, y / inner));
  return stampOf(covers, half * Math.SQRT2, Math.round(diameter) % 2 === 0);
}

/** A mark beside a point: a cross through it, for excluded ones. */
export function crossStamp(diameter, width) {
  const half = diameter / 2;
  const covers = (x, y) =>
    Math.max(Math.abs(x), Math.abs(y)) <= half && Math.abs(Math.abs(x) - Math.abs(y)) <= width * DIAGONAL;
  return stampOf(covers, half, Math.round(diameter) % 2 === 0);
}

/** A square of `side` whole pixels, as points are while they are too small for a shape. */
export function squareStamp(side) {
  const low = -Math.floor(side / 2);
  return stampOf((x, y) => Math.max(Math.abs(x), Math.abs(y)) < side / 2, -low, side % 2 === 0);
}

/** The same three, each made once: a box of stamps. */
export function createStampBox() {
  const made = new Map();
  const once = (make) => (...given) => {
    const key = JSON.stringify([make.name, ...given]);
    if (!made.has(key)) made.set(key, make(...given));
    return made.get(key);
  };
  return { shape: once(shapeStamp), cross: once(crossStamp), square: once(squareStamp) };
}

function stampOf(covers, half, even) {
  // An even stamp is centred on the corner between pixels, an odd one on the middle of a pixel.
  const centre = even ? 0 : 0.5;
  const reach = Math.ceil(half) + 1;
  const pixels = [];
  for (let dy = -reach; dy <= reach; dy += 1) {
    for (let dx = -reach; dx <= reach; dx += 1) {
      let held = 0;
      for (let j = 0; j < SAMPLES; j += 1) {
        for (let i = 0; i < SAMPLES; i += 1) {
          const x = dx + (i + 0.5) / SAMPLES - centre;
          const y = dy + (j + 0.5) / SAMPLES - centre;
          if (covers(x, -y)) held += 1;
        }
      }
      if (held) pixels.push({ dx, dy, cover: Math.round((256 * held) / SAMPLES ** 2) });
    }
  }
  pixels.sort((one, other) => other.cover - one.cover);
  return {
    dx: Int16Array.from(pixels, ({ dx }) => dx),
    dy: Int16Array.from(pixels, ({ dy }) => dy),
    cover: Uint16Array.from(pixels, ({ cover }) => cover),
    shift: even ? 0.5 : 0,
  };
}

function starHolds(x, y) {
  // Five points: the angle folded into half a point, then one straight edge from its tip to the notch.
  const radius = Math.hypot(x, y);
  if (radius > 1) return false;
  const fold = (2 * Math.PI) / 5;
  const angle = Math.atan2(x, y);
  const folded = Math.abs(angle - fold * Math.round(angle / fold));
  const notch = 0.381966;
  const [px, py] = [radius * Math.sin(folded), radius * Math.cos(folded)];
  const [nx, ny] = [notch * Math.sin(fold / 2), notch * Math.cos(fold / 2)];
  return nx * (py - 1) - (ny - 1) * px <= 0;
}
