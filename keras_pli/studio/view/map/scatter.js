// The map as the page knows it.

import { movedPoint } from "./geometry.js";
import { attachGestures } from "./gestures.js";
import { createHandles } from "./handles.js";
import { createHands } from "./hands.js";
import { createMapEvents } from "./map_events.js";
import { attachMapKeys } from "./map_keys.js";
import { mapRoot } from "./map_root.js";
import { prefersStillness, startMotion, withRows, writeBetween } from "./motion.js";
import { createStage } from "./stage.js";
import { ghostsOf } from "./targets.js";

/**
 * A scatter plot of up to a million points that can be taken hold of.
 *
 * Events, by `on(name, handler)`, which returns how to stop: "hover" {index|null, at|null in CSS pixels}, "click"
 * {index|null, add}, "select" {polygon in map units, add, subtract, guess: Uint8Array}, "drag" {by: [dx, dy]},
 * "scale" {factor}, "rotate" {degrees, counter-clockwise} and "separate" {distance}, these four with `done` and
 * `cancelled`, and "view" {scale, bounds}. The guess knows nothing of hidden points. What was dropped stays where it
 * is seen until the page sets positions, targets or a selection, or calls `release()`.
 *
 * @param {HTMLElement} parent A positioned element, which the map fills.
 * @param {{label: string, still?: boolean, theme?: "light"|"dark", wheel?: "always"|"focus"}} options still: no
 *   gestures; wheel "focus": the wheel zooms only while the map has the focus, and else scrolls the page.
 */
export function createScatter(parent, { label, still = false, theme = "light", wheel = "always" }) {
  const { root, say } = mapRoot(parent, { label, still });
  const events = createMapEvents();
  const stage = createStage(root, events, theme);
  const { cloud, view } = stage;
  const hands = createHands(stage, events, { say, wheel });
  const controls = still ? null : controlsOf(stage, hands);
  let motion = null;

  function stopMotion() {
    motion?.stop();
    motion = null;
    stage.moving = false;
  }
  function setPoints(xy) {
    stopMotion();
    stage.letGo();
    if (cloud.setPoints(xy)) {
      Object.assign(view, { ghosts: null, arrows: [], hovered: -1 });
      stage.fit();
    }
    stage.restyle();
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
    hands.hover(null);
    stage.letGo();
    stage.moving = true;
    cloud.setPoints(between);
    motion = startMotion(milliseconds, (share) => {
      if (share < 1) {
        writeBetween(between, from, to, share);
        cloud.moved();
      } else {
        stage.moving = false;
        cloud.setPoints(to);
      }
      stage.redraw();
    });
    return motion.done;
  }

  const scatter = {
    on: events.on,
    get points() { return cloud.xy; },
    get camera() { return view.camera; },
    get element() { return root; },
    get stage() { return stage; },

    /** Positions x0 y0 x1 y1 …, shown at once; another number of points forgets style and selection. */
    setPoints,
    /** The same, gliding there; resolves to false where it was interrupted. rows: those that `xy` holds. */
    animateTo,
    /** Classes: {codes, colors, shapes}, codes beyond the colours are grey. */
    setStyle(style) {
      cloud.setStyle(style);
      stage.restyle();
    },
    /** Numbers: {values, low, high, colors}, NaN is grey. */
    setNumbers(numbers) {
      cloud.setNumbers(numbers);
      stage.restyle();
    },
    /** Points of 0 are hidden; null shows all. */
    setVisible(mask) {
      cloud.setVisible(mask);
      stage.restyle();
    },
    /** A mask; entries of 2 are the second of two selections, for the tool "separate". */
    setSelection(mask) {
      cloud.setSelection(mask);
      stage.letGo();
      stage.redraw();
    },
    /** Changed data: 1 weighed (a ring), 2 relabelled (a frame), 4 excluded (a cross). */
    setFlags(flags) {
      cloud.setFlags(flags);
      stage.redraw();
    },
    /**
     * Ghosts: {xy, moved} and {share: how far the classifier is expected to follow, old: ghosts are where points
     * came from, arrows: [{from, to, color}] instead of one a class}.
     */
    setTargets(given, options = {}) {
      const { ghosts, arrows } = given ? ghostsOf(cloud, given, options) : { ghosts: null, arrows: [] };
      Object.assign(view, { ghosts, arrows, share: options.share ?? null });
      stage.letGo();
      stage.redraw();
    },
    /** Contours and names: [{lines, label, label_at, color}]. */
    setOutlines(outlines) {
      view.outlines = outlines ?? [];
      stage.redraw("overlay");
    },
    /** [{at, text, kind: "collision"|"note"}] */
    setMarks(marks) {
      view.marks = marks ?? [];
      stage.redraw("overlay");
    },
    /** "pan", "lasso", "box", "move", "rotate_scale" or "separate". */
    setTool(tool) {
      controls?.cancel();
      stage.tool = tool;
      hands.setCursor();
      stage.redraw("overlay");
    },
    setTheme: stage.setTheme,
    fit: stage.fit,
    /** Puts back what was dropped, where the page could not keep it. */
    release() {
      stage.letGo();
      stage.redraw("top", "overlay");
    },
    /** Gives up a gesture under way; returns whether there was one. */
    cancel: () => controls?.cancel() ?? false,
    /** Shows a point as hovered, null none. */
    setHovered: (row) => hands.showHovered(row ?? -1),
    /** Another one shows the same part of the map as this one, and whichever is moved moves all that are linked. */
    linkCamera(other) {
      const members = new Set([stage, ...stage.linked, other.stage, ...other.stage.linked]);
      for (const one of members) {
        for (const two of members) if (one !== two) one.linked.add(two);
      }
      other.stage.follow(view.camera, view.fitScale);
    },
    redraw: () => stage.redraw(),
    flush: stage.flush,
    snapshot() {
      stage.flush();
      return stage.layers.picture().toDataURL("image/png");
    },
    destroy() {
      stopMotion();
      controls?.detach();
      stage.destroy();
    },
  };
  stage.setTheme(theme);
  hands.setCursor();
  stage.resize();
  return scatter;
}

/** Handles, gestures and keys of a map. */
function controlsOf(stage, hands) {
  const handles = createHandles(stage.root, hands);
  stage.handles = handles;
  const gestures = attachGestures(stage.root, hands);
  const keys = attachMapKeys(stage.root, hands);
  hands.cancelGesture = () => gestures.cancel() || handles.cancel();
  return { cancel: () => hands.cancelGesture() || keys.cancel(), detach: gestures.detach };
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
