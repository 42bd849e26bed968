// Colours as the pixels of a canvas hold them: one unsigned number, red in the lowest byte.

/** "#rrggbb" as an opaque pixel. */
export function packedColor(hex) {
  const value = Number.parseInt(hex.slice(1), 16);
  return ((255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

/** `share` of the first colour over the second, both opaque. */
export function mixedColor(over, under, share) {
  const part = (shift) =>
    Math.round(share * ((over >>> shift) & 255) + (1 - share) * ((under >>> shift) & 255)) << shift;
  return ((255 << 24) | part(16) | part(8) | part(0)) >>> 0;
}

/** 256 opaque pixels along a ramp of colours. */
export function rampColors(colors) {
  const stops = colors.map(packedColor);
  return Uint32Array.from({ length: 256 }, (_, k) => {
    const at = (k / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), Math.max(0, stops.length - 2));
    return mixedColor(stops[Math.min(low + 1, stops.length - 1)], stops[low], at - low);
  });
}

/**
 * Numbers as places along a ramp.
 * @returns {Uint16Array} 0 to 255; 65535 where a number is NaN.
 */
export function rampCodes(values, low, high) {
  const codes = new Uint16Array(values.length);
  const scale = high > low ? 255 / (high - low) : 0;
  for (let k = 0; k < values.length; k += 1) {
    const value = values[k];
    codes[k] = value === value ? Math.min(255, Math.max(0, Math.round((value - low) * scale))) : 65535;
  }
  return codes;
}

/**
 * The colour of every point; 0 for those that are not drawn.
 * @param {{codes: Uint8Array|Uint16Array|null, palette: Uint32Array, none: number, count: number,
 *   visible: Uint8Array|null, out: Uint32Array}} given codes beyond the palette get the colour `none`.
 */
export function inkOfPoints({ codes, palette, none, count, visible, out }) {
  for (let k = 0; k < count; k += 1) {
    const code = codes ? codes[k] : 0;
    out[k] = visible && !visible[k] ? 0 : code < palette.length ? palette[code] : none;
  }
  return out;
}

/** The same for the picture below a selection: the selected points left out, all others in pale colours. */
export function inkBelowSelection({ ink, codes, palette, none, selection, out }) {
  for (let k = 0; k < ink.length; k += 1) {
    const code = codes ? codes[k] : 0;
    out[k] = selection[k] !== 0 || ink[k] === 0 ? 0 : code < palette.length ? palette[code] : none;
  }
  return out;
}
