// Points drawn straight into the pixels of a canvas: without a GPU many times faster than any drawing call.

/** An opaque background, or with 0 a transparent one. */
export function clearPixels(target, color) {
  target.pixels.fill(color);
}

/**
 * Draws points, later ones above earlier ones. Those that are NaN, or of colour 0, are not drawn.
 *
 * @param {{pixels: Uint32Array, width: number, height: number}} target A canvas that is larger than what is seen
 *   by a margin on each side, so that no stamp has to be cut: points nearer to its edge than `reach` are not drawn.
 * @param {Float32Array} xy Positions x0 y0 x1 y1 …
 * @param {number[]} affine From positions to pixels.
 * @param {{colors: Uint32Array, rows?: Int32Array|null, stamps: object[], codes?: ArrayLike<number>|null,
 *   reach: number, color?: number, halos?: object[], haloColor?: number}} drawing colors: one a point; color:
 *   one for all instead. stamps: one for all points or one a code (other codes get the first). halos: drawn
 *   below each.
 */
export function splatPoints(target, xy, affine, drawing) {
  const brushes = drawing.stamps.map((stamp) => brushOf(stamp, target.width));
  const [first] = brushes;
  const small = brushes.length === 1 && [1, 4].includes(first.solid.length) && !first.edge.length;
  if (small && !drawing.color) {
    splatSmall(target, xy, affine, drawing, first);
  } else {
    const halos = (drawing.halos ?? []).map((stamp) => brushOf(stamp, target.width));
    splatShapes(target, xy, affine, drawing, brushes, halos);
  }
}

/** A stamp on a canvas of a width: steps from the pixel at its place, whole pixels and edges apart. */
function brushOf(stamp, width) {
  const steps = Array.from(stamp.dx, (dx, k) => stamp.dy[k] * width + dx);
  const whole = stamp.cover.findIndex((cover) => cover < 256);
  const solid = whole < 0 ? steps.length : whole;
  return {
    solid: Int32Array.from(steps.slice(0, solid)),
    edge: Int32Array.from(steps.slice(solid)),
    cover: stamp.cover.slice(solid),
    shift: stamp.shift,
  };
}

/** One to four whole pixels a point: nothing but the writes, as a million points have to wait for them. */
function splatSmall(target, xy, affine, { colors, rows = null, reach }, brush) {
  const { pixels, width, height } = target;
  const [a, b, c, d, e, f] = affine;
  const [right, bottom] = [width - reach, height - reach];
  const { solid, shift } = brush;
  const size = solid.length;
  const [s0, s1 = 0, s2 = 0, s3 = 0] = solid;
  const count = rows ? rows.length : colors.length;
  for (let n = 0; n < count; n += 1) {
    const k = rows ? rows[n] : n;
    const color = colors[k];
    if (color === 0) continue;
    const x = xy[2 * k];
    const y = xy[2 * k + 1];
    const px = a * x + c * y + e + shift;
    const py = b * x + d * y + f + shift;
    // Written so that NaN fails.
    if (!(px >= reach && px < right && py >= reach && py < bottom)) continue;
    const at = (py | 0) * width + (px | 0);
    pixels[at + s0] = color;
    if (size > 1) {
      pixels[at + s1] = color;
      pixels[at + s2] = color;
      pixels[at + s3] = color;
    }
  }
}

function splatShapes(target, xy, affine, drawing, brushes, halos) {
  const { pixels, width, height } = target;
  const { colors, rows = null, codes = null, reach, color = 0, haloColor = 0 } = drawing;
  const [a, b, c, d, e, f] = affine;
  const [right, bottom] = [width - reach, height - reach];
  const kinds = brushes.length;
  const haloed = halos.length === kinds;
  const count = rows ? rows.length : colors.length;
  let kind = 0;
  for (let n = 0; n < count; n += 1) {
    const k = rows ? rows[n] : n;
    if (colors[k] === 0) continue;
    if (kinds > 1) kind = codes && codes[k] < kinds ? codes[k] : 0;
    const x = xy[2 * k];
    const y = xy[2 * k + 1];
    const { shift } = brushes[kind];
    const px = a * x + c * y + e + shift;
    const py = b * x + d * y + f + shift;
    if (!(px >= reach && px < right && py >= reach && py < bottom)) continue;
    const at = (py | 0) * width + (px | 0);
    if (haloed) stampPixels(pixels, at, halos[kind], haloColor);
    stampPixels(pixels, at, brushes[kind], color || colors[k]);
  }
}

function stampPixels(pixels, at, { solid, edge, cover }, ink) {
  for (let m = 0; m < solid.length; m += 1) pixels[at + solid[m]] = ink;
  for (let m = 0; m < edge.length; m += 1) {
    const pixel = at + edge[m];
    pixels[pixel] = blended(pixels[pixel], ink, cover[m]);
  }
}

/** `cover` of 256 of a colour over a pixel, which may be transparent. */
function blended(under, over, cover) {
  const alpha = under >>> 24;
  if (alpha === 0) return ((over & 0xffffff) | (cover << 24)) >>> 0;
  const rest = 256 - cover;
  const redBlue = (((under & 0xff00ff) * rest + (over & 0xff00ff) * cover) >>> 8) & 0xff00ff;
  const green = (((under & 0xff00) * rest + (over & 0xff00) * cover) >>> 8) & 0xff00;
  const opaque = Math.min(255, alpha + ((255 - alpha) * cover >> 8));
  return ((opaque << 24) | redBlue | green) >>> 0;
}
