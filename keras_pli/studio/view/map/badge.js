// Words on the map.

export const SMALL_FONT = "500 12px system-ui, sans-serif";

/** Words on a dark ground, their middle at a place. */
export function badge(context, theme, text, x, y) {
  context.font = SMALL_FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const width = context.measureText(text).width + 18;
  roundedBox(context, x - width / 2, y - 12, width, 24, 12);
  context.fillStyle = theme.ink;
  context.fill();
  context.fillStyle = theme.background;
  context.fillText(text, x, y + 0.5);
}

/** A path around a box with round corners. */
export function roundedBox(context, x, y, width, height, radius) {
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
}
