// The canvases of the map, one above the other: points, selected points, and what is drawn over them.

const MOST_PIXELS = 9e6; // a canvas of more is drawn at a lower resolution
/** Device pixels that a canvas of points is larger than what is seen, on each side. */
export const LAYER_PAD = 40;

/**
 * @param {HTMLElement} root A positioned element that cuts off what is larger.
 * @returns {{base: object, top: object, overlay: object, ratio: number, resize: Function, put: Function,
 *   picture: Function}}
 */
export function createLayers(root) {
  const layers = { base: pixelLayer(root), top: pixelLayer(root), overlay: null, ratio: 1 };
  const overlay = canvasIn(root);
  layers.overlay = { canvas: overlay, context: overlay.getContext("2d") };

  /** Fits the canvases to a size in CSS pixels; returns whether anything changed. */
  layers.resize = (width, height, devicePixelRatio) => {
    const ratio = Math.min(devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / Math.max(1, width * height)));
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (overlay.width === across && overlay.height === down && layers.ratio === ratio) return false;
    layers.ratio = ratio;
    overlay.width = across;
    overlay.height = down;
    placeCanvas(overlay, 0, across / ratio, down / ratio);
    for (const layer of [layers.base, layers.top]) {
      layer.width = layer.canvas.width = across + 2 * LAYER_PAD;
      layer.height = layer.canvas.height = down + 2 * LAYER_PAD;
      layer.image = layer.context.createImageData(layer.width, layer.height);
      layer.pixels = new Uint32Array(layer.image.data.buffer);
      placeCanvas(layer.canvas, -LAYER_PAD / ratio, layer.width / ratio, layer.height / ratio);
    }
    return true;
  };

  /** Shows the pixels of a layer of points. */
  layers.put = (layer) => layer.context.putImageData(layer.image, 0, 0);

  /** Everything on one canvas. */
  layers.picture = () => {
    const canvas = document.createElement("canvas");
    canvas.width = overlay.width;
    canvas.height = overlay.height;
    const context = canvas.getContext("2d");
    for (const layer of [layers.base, layers.top]) {
      if (!layer.canvas.hidden) context.drawImage(layer.canvas, -LAYER_PAD, -LAYER_PAD);
    }
    context.drawImage(overlay, 0, 0);
    return canvas;
  };
  return layers;
}

function pixelLayer(root) {
  const canvas = canvasIn(root);
  return { canvas, context: canvas.getContext("2d"), pixels: new Uint32Array(0), width: 0, height: 0, image: null };
}

function canvasIn(root) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  Object.assign(canvas.style, { position: "absolute", pointerEvents: "none", maxWidth: "none" });
  root.append(canvas);
  return canvas;
}

function placeCanvas(canvas, offset, width, height) {
  Object.assign(canvas.style, {
    left: `${offset}px`, top: `${offset}px`, width: `${width}px`, height: `${height}px`,
  });
}
