// What is shown of a map and when it is drawn: the points, the camera, what lies over them, and one drawing a frame.

import { fitCamera, pointDiameter, resizedCamera, viewBounds } from "./camera.js";
import { createCloud } from "./cloud.js";
import { IDENTITY_AFFINE, movedPoint } from "./geometry.js";
import { selectionFrame, selectionRule } from "./handles.js";
import { createLayers } from "./layers.js";
import { MAP_THEMES } from "./map_theme.js";
import { paintOverlay } from "./overlay.js";
import { paintBase, paintTop } from "./painter.js";
import { createStampBox } from "./stamps.js";

const INDEX_DELAY = 150; // milliseconds
const ALL_LAYERS = Object.freeze(["base", "top", "overlay"]);

/**
 * @param {HTMLElement} root
 * @param {{emit: Function}} events Hears "view".
 * @param {string} theme
 */
export function createStage(root, events, theme) {
  const layers = createLayers(root);
  const cloud = createCloud();
  const waiting = new Set();
  const linked = new Set(); // stages that show the same part of the map
  let frame = 0;
  let indexing = 0;
  // Until the person pans or zooms, the map stays fitted.
  let fitted = true;
  const view = {
    camera: fitCamera(cloud.xy, 1, 1), fitScale: 1, theme: MAP_THEMES[theme], stamps: createStampBox(),
    carried: [], // what a gesture does to each group of the selection
    ghosts: null, arrows: [], share: null, outlines: [], marks: [],
    lasso: null, hovered: -1, ring: null, cursor: null, hint: "", frame: null, rule: null,
  };
  const stage = {
    root, layers, cloud, view, linked, tool: "pan", handles: null, moving: false, redraw, flush, look, fit,
    held: [], // what gestures did to each group that is not in the positions yet
  };
  /** Shows the selection where its positions are. */
  stage.letGo = () => {
    stage.held = [];
    view.carried = [];
  };

  /** Draws layers ("base", "top", "overlay"; all where none is named) with the next frame. */
  function redraw(...names) {
    for (const name of names.length ? names : ALL_LAYERS) waiting.add(name);
    if (!frame) frame = requestAnimationFrame(flush);
  }

  /** Draws now what waits for the next frame. */
  function flush() {
    cancelAnimationFrame(frame);
    frame = 0;
    if (!layers.overlay.canvas.width || !waiting.size) return;
    if (waiting.has("base")) paintBase(layers, cloud, view);
    if (waiting.has("top")) paintTop(layers, cloud, view);
    placeGrips();
    view.ring = ringOf(view.hovered);
    paintOverlay(layers.overlay, view, layers.ratio);
    // Which part of the map is seen, told to whoever looks from outside.
    root.dataset.camera = JSON.stringify(view.camera);
    waiting.clear();
    indexSoon();
  }

  /** Sorts the points for the pointer while nobody waits for it. */
  function indexSoon() {
    clearTimeout(indexing);
    if (!stage.handles || cloud.indexed()) return;
    indexing = setTimeout(() => { if (!stage.moving) cloud.index(); }, INDEX_DELAY);
  }

  /** Around the point that is looked at, where it is seen. */
  function ringOf(row) {
    if (row < 0 || row >= cloud.count) return null;
    const group = cloud.selected.mask ? cloud.selected.mask[row] - 1 : -1;
    const affine = group < 0 ? IDENTITY_AFFINE : view.carried[group] ?? view.carried[0] ?? IDENTITY_AFFINE;
    const at = movedPoint(affine, [cloud.xy[2 * row], cloud.xy[2 * row + 1]]);
    const radius = pointDiameter(view.camera, view.fitScale, cloud.count) / 2 + 4;
    return Number.isFinite(at[0] + at[1]) ? { at, radius } : null;
  }

  function placeGrips() {
    const { rows, bounds, groups } = cloud.selected;
    const framed = rows.length > 0 && bounds && groups.length === 1 && ["move", "rotate_scale"].includes(stage.tool);
    view.frame = framed ? selectionFrame(view.camera, bounds, view.carried[0] ?? IDENTITY_AFFINE, movedPoint) : null;
    const grips = stage.tool === "rotate_scale" ? view.frame : null;
    if (view.frame && !grips) view.frame = { corners: view.frame.corners };
    if (view.frame && view.carried[0]) {
      view.frame.before = selectionFrame(view.camera, bounds, IDENTITY_AFFINE, movedPoint).corners;
    }
    const ruled = stage.tool === "separate" && groups.length === 2 && groups.every(({ centre }) => centre);
    view.rule = ruled ? selectionRule(view.camera, groups, view.carried, movedPoint) : null;
    if (view.rule && !(view.rule.distance > 0)) view.rule = null; // no line leads apart
    stage.handles?.place(grips, view.rule);
  }

  stage.resize = () => {
    const [width, height] = [root.clientWidth, root.clientHeight];
    if (!width || !height || !layers.resize(width, height, globalThis.devicePixelRatio)) return;
    const fitting = fitCamera(cloud.xy, width, height);
    view.fitScale = fitting.scale;
    view.camera = fitted ? fitting : resizedCamera(view.camera, width, height);
    redraw();
    flush(); // at once, as a resized canvas is empty
    tellView();
  };

  /** Shows another part of the map, here and on the linked stages. */
  function look(camera) {
    fitted = false;
    view.camera = camera;
    redraw();
    tellView();
    for (const other of linked) other.follow(camera, view.fitScale);
  }
  /** Shows what a linked stage shows. */
  stage.follow = (camera, fitScale) => {
    const [width, height] = [Math.max(1, root.clientWidth), Math.max(1, root.clientHeight)];
    const share = Math.min(width, height) / Math.min(camera.width, camera.height);
    fitted = false;
    view.fitScale = fitScale * share;
    view.camera = Object.freeze({ ...camera, scale: camera.scale * share, width, height });
    redraw();
    tellView();
  };
  function fit() {
    const camera = fitCamera(cloud.xy, Math.max(1, root.clientWidth), Math.max(1, root.clientHeight));
    view.fitScale = camera.scale;
    look(camera);
    fitted = true;
  }
  function tellView() {
    events.emit("view", { scale: view.camera.scale, bounds: viewBounds(view.camera) });
  }

  stage.setTheme = (name) => {
    view.theme = MAP_THEMES[name];
    root.style.background = view.theme.background;
    cloud.setTheme(view.theme);
    stage.handles?.setTheme(view.theme);
    stage.restyle();
  };
  /** After colours changed. */
  stage.restyle = () => {
    if (view.ghosts) view.ghosts.colors = null;
    redraw();
  };

  const observer = new ResizeObserver(stage.resize);
  observer.observe(root);
  // Another density of pixels, as on a second screen, changes no size.
  const abort = new AbortController();
  globalThis.addEventListener("resize", stage.resize, { signal: abort.signal });
  stage.destroy = () => {
    cancelAnimationFrame(frame);
    clearTimeout(indexing);
    observer.disconnect();
    abort.abort();
    for (const other of linked) other.linked.delete(stage);
    root.remove();
  };
  return stage;
}
