// The map as one object: what the page sets, what the person does, and when it is drawn.

import { boxAction, dragAction, lassoAction, panAction } from "./actions.js";
import { fitCamera, mapPoint, pannedCamera, pointDiameter, resizedCamera, screenPoint, viewBounds, zoomedCamera } from "./camera.js";
import { createCloud } from "./cloud.js";
import { IDENTITY_AFFINE, movedPoint } from "./geometry.js";
import { attachGestures } from "./gestures.js";
import { createHandles, selectionFrame, selectionRule } from "./handles.js";
import { createLayers } from "./layers.js";
import { createMapEvents } from "./map_events.js";
import { attachMapKeys } from "./map_keys.js";
import { mapRoot } from "./map_root.js";
import { MAP_THEMES } from "./map_theme.js";
import { prefersStillness, startMotion, withRows, writeBetween } from "./motion.js";
import { paintOverlay } from "./overlay.js";
import { paintBase, paintTop } from "./painter.js";
import { pointsInPolygon } from "./polygon.js";
import { ghostsOf } from "./targets.js";

const HOVER_REACH = 10; // CSS pixels from a point at which it is meant
const GRAB_REACH = 14;
const ALL_LAYERS = Object.freeze(["base", "top", "overlay"]);

/**
 * A scatter plot of up to a million points that can be taken hold of.
 *
 * @param {HTMLElement} parent A positioned element, which the map fills.
 * @param {{label: string, still?: boolean, theme?: "light"|"dark", wheel?: "always"|"focus"}} options still: no
 *   gestures; wheel "focus": the wheel zooms only where the map has the focus, and else scrolls the page.
 * @returns {object} The map; its methods are those below, `on(name, handler)` listens (and returns how to stop).
 */
export function createScatter(parent, { label, still = false, theme = "light", wheel = "always" }) {
  const { root, say } = mapRoot(parent, { label, still });
  const layers = createLayers(root);
  const cloud = createCloud();
  const events = createMapEvents();
  const waiting = new Set();
  const linked = new Set();
  const view = {
    camera: fitCamera(cloud.xy, 1, 1), fitScale: 1, theme: MAP_THEMES[theme], carried: [], ghosts: null,
    outlines: [], marks: [], arrows: [], share: null, lasso: null, hovered: null, cursor: null, hint: "", frame: null,
    rule: null,
  };
  let tool = "pan";
  let frame = 0;
  let motion = null;
  let hovered = -1;
  let fitted = true; // until the person pans or zooms, the map stays fitted

  // ---- drawing -------------------------------------------------------------------------------------------
  function redraw(...names) {
    for (const name of names.length ? names : ALL_LAYERS) waiting.add(name);
    if (!frame) frame = requestAnimationFrame(flush);
  }
  function flush() {
    cancelAnimationFrame(frame);
    frame = 0;
    if (!layers.overlay.canvas.width) return;
    if (waiting.has("base")) paintBase(layers, cloud, view);
    if (waiting.has("top")) paintTop(layers, cloud, view);
    if (waiting.size) {
      placeHandles();
      paintOverlay(layers.overlay, view, layers.ratio);
    }
    root.dataset.camera = JSON.stringify(view.camera); // where the map is, told to whoever looks from outside
    waiting.clear();
  }
  function placeHandles() {
    const { rows, bounds, groups } = cloud.selected;
    const framed = rows.length > 0 && bounds && groups.length === 1 && ["move", "rotate_scale"].includes(tool);
    view.frame = framed ? selectionFrame(view.camera, bounds, view.carried[0] ?? IDENTITY_AFFINE, movedPoint) : null;
    if (framed && tool === "move") view.frame = { corners: view.frame.corners };
    const ruled = tool === "separate" && groups.length === 2 && groups.every(({ centre }) => centre);
    view.rule = ruled ? selectionRule(view.camera, groups, view.carried, movedPoint) : null;
    if (view.rule) view.rule.text = view.rule.distance.toPrecision(3);
    handles?.place(tool === "rotate_scale" ? view.frame : null, view.rule);
  }
  function resize() {
    const [width, height] = [root.clientWidth, root.clientHeight];
    if (!width || !height || !layers.resize(width, height, globalThis.devicePixelRatio)) return;
    const before = view.camera;
    view.fitScale = fitCamera(cloud.xy, width, height).scale;
    view.camera = fitted ? fitCamera(cloud.xy, width, height) : resizedCamera(before, width, height);
    flushAll();
    tellView();
  }
  function flushAll() {
    redraw();
    flush();
  }

  // ---- the view ------------------------------------------------------------------------------------------
  function look(camera, { tell = true } = {}) {
    view.camera = camera;
    redraw();
    if (!tell) return;
    tellView();
    for (const other of linked) other.follow(camera, view.fitScale);
  }
  function tellView() {
    events.emit("view", { scale: view.camera.scale, bounds: viewBounds(view.camera) });
  }
  function fit() {
    const { clientWidth: width, clientHeight: height } = root;
    fitted = true;
    const camera = fitCamera(cloud.xy, Math.max(1, width), Math.max(1, height));
    view.fitScale = camera.scale;
    look(camera);
  }

  // ---- what gestures and keys do -------------------------------------------------------------------------
  function showHovered(row) {
    const at = row >= 0 ? [cloud.xy[2 * row], cloud.xy[2 * row + 1]] : null;
    const radius = pointDiameter(view.camera, view.fitScale, cloud.count) / 2 + 4;
    view.hovered = at && { at, radius };
    redraw("overlay");
  }
  function hover(at) {
    const row = at && !motion ? nearestTo(at, HOVER_REACH) : -1;
    root.style.cursor = cursorOf(tool, at && canCarry(at));
    if (row === hovered && row < 0) return;
    if (row !== hovered) showHovered(row);
    hovered = row;
    events.emit("hover", { index: row < 0 ? null : row, at });
  }
  function nearestTo(at, reach, selectedOnly = false) {
    return cloud.nearest(...mapPoint(view.camera, at), reach / view.camera.scale, selectedOnly);
  }
  function canCarry(at) {
    if (!["move", "rotate_scale"].includes(tool) || !cloud.selected.rows.length) return false;
    return nearestTo(at, GRAB_REACH, true) >= 0;
  }
  const map = {
    get camera() { return view.camera; },
    get selected() { return cloud.selected; },
    get tool() { return tool; },
    get handles() { return handles.elements; },
    say(text) {
      view.hint = text;
      say(text);
      redraw("overlay");
    },
    pan(by) {
      fitted = false;
      look(pannedCamera(view.camera, by));
    },
    zoom(factor, at) {
      fitted = false;
      look(zoomedCamera(view.camera, factor, at, view.fitScale));
    },
    fit,
    hover,
    setGrabbing(grabbing) { root.style.cursor = grabbing ? "grabbing" : cursorOf(tool, false); },
    wheelAllowed: () => wheel === "always" || root.contains(document.activeElement),
    begin(at, how) {
      hover(null);
      if (how.middle) return panAction(map, at);
      if (tool === "lasso") return lassoAction(map, at, how);
      if (tool === "box") return boxAction(map, at, how);
      return canCarry(at) ? dragAction(map, at) : panAction(map, at);
    },
    click(at, { add }) {
      const row = nearestTo(at, HOVER_REACH);
      events.emit("click", { index: row < 0 ? null : row, add });
    },
    select(polygon, { add, subtract }) {
      const guess = pointsInPolygon(cloud.xy, polygon, { extent: cloud.extent() });
      events.emit("select", { polygon, add: add && !subtract, subtract, guess });
    },
    showLasso(lasso) {
      view.lasso = lasso;
      redraw("overlay");
    },
    showCross(at) {
      view.cursor = at;
      hover(at);
      redraw("overlay");
    },
    /** Shows each group of the selection where an affine takes it, until it is dropped or put back. */
    carry(name, what, affines) {
      view.carried = affines;
      redraw("top", "overlay");
      events.emit(name, { ...what, done: false, cancelled: false });
    },
    drop(name, what, affines) {
      view.carried = affines;
      redraw("top", "overlay");
      events.emit(name, { ...what, done: true, cancelled: false });
    },
    putBack(name, what) {
      view.carried = [];
      redraw("top", "overlay");
      events.emit(name, { ...what, done: false, cancelled: true });
    },
    cancelGesture: () => gestures.cancel() || handles.cancel(),
  };
  const handles = still ? null : createHandles(root, map);
  const gestures = still ? null : attachGestures(root, map);
  const keys = still ? null : attachMapKeys(root, map);

  // ---- positions -----------------------------------------------------------------------------------------
  function stopMotion() {
    motion?.stop();
    motion = null;
  }
  function setPoints(xy) {
    stopMotion();
    view.carried = [];
    if (cloud.setPoints(xy)) fit();
    if (view.ghosts) view.ghosts.colors = null;
    redraw();
  }
  function animateTo(xy, milliseconds = 600, { rows = null } = {}) {
    stopMotion();
    const to = withRows(cloud.xy, xy, rows);
    if (to.length !== cloud.xy.length || prefersStillness() || !(milliseconds > 0)) {
      setPoints(to);
      return Promise.resolve(true);
    }
    const from = carriedPositions(cloud, view.carried);
    const between = from.slice();
    view.carried = [];
    hover(null);
    cloud.setPoints(between);
    const started = startMotion(milliseconds, (share) => {
      writeBetween(between, from, to, share);
      if (share === 1) {
        motion = null;
        cloud.setPoints(to);
      } else {
        cloud.moved();
      }
      redraw();
    });
    motion = started;
    return started.done;
  }

  // ---- the page's side -----------------------------------------------------------------------------------
  const scatter = {
    on: events.on,
    setPoints,
    animateTo,
    get points() { return cloud.xy; },
    get camera() { return view.camera; },
    get element() { return root; },
    setStyle(style) {
      cloud.setStyle(style);
      changed();
    },
    setNumbers(numbers) {
      cloud.setNumbers(numbers);
      changed();
    },
    setVisible(mask) {
      cloud.setVisible(mask);
      changed();
    },
    setSelection(mask) {
      cloud.setSelection(mask);
      view.carried = [];
      redraw();
    },
    setFlags(flags) {
      cloud.setFlags(flags);
      redraw();
    },
    setTargets(given, options = {}) {
      const { ghosts, arrows } = given ? ghostsOf(cloud, given, options) : { ghosts: null, arrows: [] };
      Object.assign(view, { ghosts, arrows, share: options.share ?? null });
      redraw();
    },
    setOutlines(outlines) {
      view.outlines = outlines ?? [];
      redraw("overlay");
    },
    setMarks(marks) {
      view.marks = marks ?? [];
      redraw("overlay");
    },
    setTool(next) {
      gestures?.cancel();
      handles?.cancel();
      keys?.cancel();
      tool = next;
      root.style.cursor = cursorOf(tool, false);
      redraw("overlay");
    },
    setTheme(name) {
      applyTheme(name);
      redraw();
    },
    fit,
    /** Puts back what was dropped, where the page could not keep it. */
    release() {
      view.carried = [];
      redraw("top", "overlay");
    },
    /** Draws now what waits for the next frame. */
    flush,
    redraw: () => redraw(),
    /** Shows the point of a row as hovered, or with null none. */
    setHovered: (row) => showHovered(row ?? -1),
    linkCamera(other) {
      linked.add(other);
      other.linkedBy(scatter);
      other.follow(view.camera, view.fitScale);
    },
    linkedBy: (other) => linked.add(other),
    follow(camera, fitScale) {
      fitted = false;
      const { clientWidth: width, clientHeight: height } = root;
      const share = Math.min(width, height) / Math.min(camera.width, camera.height) || 1;
      view.fitScale = fitScale * share;
      look(Object.freeze({ ...camera, scale: camera.scale * share, width, height }), { tell: false });
    },
    snapshot() {
      flush();
      return layers.picture().toDataURL("image/png");
    },
    destroy() {
      stopMotion();
      cancelAnimationFrame(frame);
      observer.disconnect();
      gestures?.detach();
      for (const other of linked) other.unlink(scatter);
      root.remove();
    },
    unlink: (other) => linked.delete(other),
  };
  function changed() {
    if (view.ghosts) view.ghosts.colors = null;
    redraw();
  }
  function applyTheme(name) {
    view.theme = MAP_THEMES[name];
    root.style.background = view.theme.background;
    cloud.setTheme(view.theme);
    handles?.setTheme(view.theme);
    if (view.ghosts) view.ghosts.colors = null;
  }
  applyTheme(theme);
  root.style.cursor = cursorOf(tool, false);
  const observer = new ResizeObserver(resize);
  observer.observe(root);
  resize();
  return scatter;
}

function cursorOf(tool, carries) {
  if (carries) return "move";
  return { pan: "grab", lasso: "crosshair", box: "crosshair" }[tool] ?? "default";
}

/** Positions with the carried groups where they are seen. */
function carriedPositions(cloud, carried) {
  const out = cloud.xy.slice();
  cloud.selected.groups.forEach(({ rows }, group) => {
    const affine = carried[group] ?? carried[0];
    if (!affine) return;
    for (const row of rows) {
      const [x, y] = movedPoint(affine, [cloud.xy[2 * row], cloud.xy[2 * row + 1]]);
      out[2 * row] = x;
      out[2 * row + 1] = y;
    }
  });
  return out;
}
