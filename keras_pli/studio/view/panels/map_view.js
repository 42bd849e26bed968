/** The map within the view: what it shows of the state, and what hands do to it. */

import { mapPoint } from "../map/camera.js";
import { moveToChange, rotateChange, scaleChange, separateChange, shiftChange } from "../state/changes.js";
import { createScatter } from "../map/scatter.js";
import { categoryPlaces } from "../state/class_places.js";
import { themeColor } from "../elements/theme.js";
import { colourScatter, UNNAMED } from "./map_colours.js";

const SETTLE_MILLISECONDS = 300;
const EPOCH_MILLISECONDS = 700;
const CHANGING_TOOLS = ["move", "rotate_scale", "separate"];
const TRAINING_SHOWN = "The map shows the training: choose Edited above it to make steps.";
const EDITED_SHOWN = "Steps are made on the map as edited, which is shown now: try again there.";

/**
 * Puts the map into a place and keeps it as the state says.
 *
 * @param {HTMLElement} parent
 * @param {{store: Object, actions: Object, toasts: Object}} view
 * @returns {{scatter: Object, end: function(): void}}
 */
export function createMapView(parent, { store, actions, toasts }) {
  const scatter = createScatter(parent, {
    label: "Map of the training samples",
    wheel: parent.closest(".kps-host") ? "always" : "focus", // in a notebook the wheel scrolls, until the map is clicked
  });
  const { state } = store;
  let shownPoints = null;
  let shownGuess = false;
  let shownRound = null;

  function drawPositions() {
    const { positions, shown } = state;
    const xy = shown === "live" ? positions.live : shown === "original" ? positions.map : positions.targets;
    if (!xy || xy === shownPoints) return;
    // What a hand has moved is there already, and so is the server's answer to it.
    const anew = !shownPoints || positions.round !== shownRound;
    const atOnce = anew || shownGuess || positions.guessed;
    if (atOnce) scatter.setPoints(xy);
    else scatter.animateTo(xy, shown === "live" ? EPOCH_MILLISECONDS : SETTLE_MILLISECONDS);
    const first = !shownPoints;
    if (anew) scatter.fit();
    shownRound = positions.round;
    shownPoints = xy;
    shownGuess = positions.guessed && shown === "edited";
    if (first) [drawColours, drawVisible, drawSelection, drawFlags, drawGhosts, drawOutlines].forEach((draw) => draw());
  }

  function drawFlags() {
    const { flags } = state.positions;
    if (shownPoints) scatter.setFlags(flags?.some(Boolean) ? flags : null);
  }

  /** The selection in the groups that the map takes hold of: two classes part, anything else is one. */
  function drawSelection() {
    const { selection, tool, labelCodes } = state;
    if (!shownPoints) return undefined;
    const labels = selection?.labels;
    if (tool !== "separate" || labels?.length !== 2 || !labelCodes) {
      return scatter.setSelection(selection?.mask ?? null);
    }
    const second = state.info.classes.findIndex(({ label }) => label === labels[1]);
    return scatter.setSelection(selection.mask?.map((on, i) => (on && labelCodes[i] === second ? 2 : on)) ?? null);
  }

  function drawColours() {
    if (state.column && shownPoints) colourScatter(scatter, state.column, state.theme);
  }

  function drawVisible() {
    const { column, hidden } = state;
    if (!shownPoints) return undefined;
    if (!hidden.size || !column?.codes) return scatter.setVisible(null);
    return scatter.setVisible(Uint8Array.from(column.codes, (code) => (hidden.has(code) ? 0 : 1)));
  }

  function drawGhosts() {
    const { ghosts, positions, shown } = state;
    if (!shownPoints) return;
    if (ghosts?.xy && positions.targets) {
      scatter.setTargets({ xy: ghosts.xy });
    } else if (shown === "edited" && positions.map && positions.moved?.includes(1)) {
      scatter.setTargets(
        { xy: positions.map, moved: positions.moved },
        { old: true, share: currentCheck()?.share ?? null },
      );
    } else {
      scatter.setTargets(null);
    }
  }

  function drawOutlines() {
    const { outlines, outlined, info, theme, shown } = state;
    if (!outlines || !shownPoints) return scatter.setOutlines([]);
    const found = shown === "live" ? namesInTraining() : outlined ?? [];
    return scatter.setOutlines(
      found.map(({ name, lines, label_at: at }) => {
        const kind = info.classes.find((entry) => entry.name === name) ?? UNNAMED;
        return { lines, label: name, label_at: at, color: themeColor(kind, theme) };
      }),
    );
  }

  /** While points go elsewhere with each epoch, classes are named where they are. */
  function namesInTraining() {
    const { labelCodes, info: { classes } } = state;
    if (!labelCodes) return [];
    return categoryPlaces(shownPoints, labelCodes, classes.length)
      .map((at, k) => ({ name: classes[k].name, lines: [], label_at: at }))
      .filter(({ label_at: at }) => at);
  }

  /** While the training is shown nothing can be taken hold of. */
  function drawTool() {
    scatter.setTool(state.shown === "live" && CHANGING_TOOLS.includes(state.tool) ? "pan" : state.tool);
  }

  /** Whether what the last check found is about the plan as it stands, and the map shows it. */
  function currentCheck() {
    const { check, plan, shown } = state;
    return check && check.revision === plan.revision && shown === "edited" ? check : null;
  }

  function drawMarks() {
    scatter.setMarks(currentCheck()?.marks ?? []);
  }

  const hands = {
    hover: ({ index, at }) => {
      store.set({ pointer: at });
      actions.hover(index);
    },
    click: ({ index, add }) => {
      if (state.picking) return undefined;
      if (index === null) return add ? undefined : actions.clear();
      if (add) return actions.selectPoint(index, true);
      store.set({ tab: "sample" });
      return actions.inspect(index);
    },
    select: (drawn) => actions.selectDrawn(drawn),
    drag: ({ by, done, cancelled }) => finish(done, cancelled, (selection) => shiftChange(selection, by)),
    scale: ({ factor, done, cancelled }) => finish(done, cancelled, (selection) => scaleChange(selection, factor)),
    rotate: ({ degrees, done, cancelled }) => finish(
      done,
      cancelled,
      (selection) => rotateChange(selection, degrees),
    ),
    separate: ({ distance, done, cancelled }) => {
      const labels = state.selection?.labels;
      if (labels?.length !== 2) return scatter.release();
      const [first, second] = labels.map((label) => ({ type: "ClassLabel", label }));
      return finish(done, cancelled, () => separateChange(first, second, distance));
    },
  };

  function finish(done, cancelled, make) {
    if (!done || cancelled) return;
    if (canChange()) actions.addChange(make);
    else scatter.release();
  }

  /** Steps are made on the map as edited: elsewhere points may lie where no plan would take them up. */
  function canChange() {
    if (!state.selection?.mask) return false;
    if (state.shown === "live") {
      toasts.note(TRAINING_SHOWN);
      return false;
    }
    if (state.shown === "edited") return true;
    store.set({ shown: "edited" });
    if (!state.positions.moved?.includes(1)) return true; // both maps are one
    toasts.note(EDITED_SHOWN);
    return false;
  }

  for (const [name, hand] of Object.entries(hands)) scatter.on(name, hand);

  /** The place for the selection's centre, where the person was asked to click one. */
  function pick(event) {
    if (!state.picking) return;
    store.set({ picking: false });
    const { left, top } = scatter.element.getBoundingClientRect();
    const place = mapPoint(scatter.camera, [event.clientX - left, event.clientY - top]);
    if (canChange()) actions.addChange((selection) => moveToChange(selection, place));
  }
  parent.addEventListener("click", pick);

  const offs = [
    store.on(["positions", "shown"], drawPositions),
    store.on(["column", "theme"], drawColours),
    store.on(["column", "hidden"], drawVisible),
    store.on(["selection", "tool", "labelCodes"], drawSelection),
    store.on(["positions"], drawFlags),
    store.on(["ghosts", "positions", "shown", "column", "theme", "check"], drawGhosts),
    store.on(["outlines", "outlined", "theme", "shown", "positions", "labelCodes"], drawOutlines),
    store.on(["check", "plan", "shown"], drawMarks),
    store.on(["tool", "shown"], drawTool),
    store.on(["picking"], () => parent.classList.toggle("kps-picking", state.picking)),
    store.on(["theme"], () => scatter.setTheme(state.theme)),
  ];
  drawTool();
  scatter.setTheme(state.theme ?? "light");

  return {
    scatter,
    end() {
      offs.forEach((off) => off());
      parent.removeEventListener("click", pick);
      scatter.destroy();
    },
  };
}
