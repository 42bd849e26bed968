/** The map within the view: what it shows of the state, and what hands do to it. */

import { maskCentre, movedMask } from "./arrays.js";
import { rotateChange, scaleChange, separateChange, shiftChange } from "./changes.js";
import { createScatter } from "./scatter.js";
import { themeColor } from "./theme.js";

const SETTLE_MILLISECONDS = 300;
const EPOCH_MILLISECONDS = 700;
const NONE = 65535;
const UNNAMED = { color: "#8a8a8a", shape: "o" };
// Low to high, readable on both grounds; lightness rises, so that it can be read without hues.
const RAMP = { light: ["#440154", "#3b528b", "#21918c", "#4ab35f", "#b3b82a"], dark: ["#7a5bb0", "#5f86c4", "#35b0aa", "#7ad151", "#fde725"] };

/**
 * Puts the map into a place and keeps it as the state says.
 *
 * @param {HTMLElement} parent
 * @param {{store: Object, actions: Object}} view
 * @returns {{scatter: Object, end: function(): void}}
 */
export function createMapView(parent, { store, actions }) {
  const scatter = createScatter(parent, { label: "Map of the training samples" });
  const { state } = store;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let shownPoints = null;

  function drawPositions() {
    const { positions, shown } = state;
    const xy = shown === "live" ? positions.live : shown === "original" ? positions.map : positions.targets;
    if (!xy || xy === shownPoints) return;
    const near = shownPoints && shownPoints.length === xy.length && !still.matches;
    if (near) scatter.animateTo(xy, shown === "live" ? EPOCH_MILLISECONDS : SETTLE_MILLISECONDS, {});
    else scatter.setPoints(xy);
    if (!shownPoints || shownPoints.length !== xy.length) scatter.fit();
    shownPoints = xy;
  }

  function drawColours() {
    const { column, theme } = state;
    if (!column) return;
    if (column.values) {
      scatter.setNumbers({ values: column.values, low: column.low, high: column.high, colors: RAMP[theme] });
      return;
    }
    const kinds = [...column.categories, UNNAMED];
    const unnamed = kinds.length - 1;
    scatter.setStyle({
      codes: column.codes.map((code) => (code === NONE ? unnamed : code)),
      colors: kinds.map((kind) => themeColor(kind, theme)),
      shapes: kinds.map(({ shape }) => shape ?? "o"),
    });
  }

  function drawVisible() {
    const { column, hidden } = state;
    if (!hidden.size || !column?.codes) return scatter.setVisible(null);
    return scatter.setVisible(Uint8Array.from(column.codes, (code) => (hidden.has(code) ? 0 : 1)));
  }

  function drawGhosts() {
    const { ghosts, positions, shown } = state;
    if (ghosts?.xy && positions.targets) {
      const moved = movedMask(positions.targets, ghosts.xy);
      scatter.setTargets({ xy: ghosts.xy, moved }, { share: 1, arrows: classArrows(positions.targets, ghosts.xy, moved) });
    } else if (shown === "edited" && positions.map && positions.moved?.includes(1)) {
      scatter.setTargets({ xy: positions.map, moved: positions.moved }, { share: 1, before: true });
    } else {
      scatter.setTargets(null, {});
    }
  }

  /** One arrow for each class of which points move. */
  function classArrows(from, to, moved) {
    const { column, theme } = state;
    if (!column?.codes || column.categories.length > 60) return [];
    return column.categories.flatMap((kind, code) => {
      const mask = Uint8Array.from(moved, (on, i) => (on && column.codes[i] === code ? 1 : 0));
      const start = maskCentre(from, mask);
      return start ? [{ from: start, to: maskCentre(to, mask), color: themeColor(kind, theme) }] : [];
    });
  }

  function drawOutlines() {
    const { outlines, outlined, info, theme } = state;
    if (!outlines || !outlined) return scatter.setOutlines([]);
    return scatter.setOutlines(
      outlined.map(({ name, lines, label_at: at }) => {
        const kind = info.classes.find((entry) => entry.name === name) ?? UNNAMED;
        return { lines, label: name, label_at: at, color: themeColor(kind, theme) };
      }),
    );
  }

  function drawMarks() {
    const { check, plan } = state;
    const told = check?.revision === plan.revision ? check.moves ?? [] : [];
    scatter.setMarks(
      told
        .filter(({ at }) => at)
        .map(({ at, words, passes }) => ({ at, text: words, kind: passes ? "note" : "collision" })),
    );
  }

  function held() {
    if (state.shown !== "edited") return null;
    return state.selection?.mask ? actions.heldSelection() : null;
  }

  const hands = {
    hover: ({ index, at }) => {
      store.set({ pointer: at });
      actions.hover(index);
    },
    click: ({ index, add }) => {
      if (index === null) return add ? undefined : actions.clear();
      if (add) return actions.selectPoint(index, true);
      store.set({ tab: "sample" });
      return actions.inspect(index);
    },
    select: (drawn) => actions.selectDrawn(drawn),
    drag: ({ by, done, cancelled }) => finish(done, cancelled, (selection) => shiftChange(selection, by)),
    scale: ({ factor, done, cancelled }) => finish(done, cancelled, (selection) => scaleChange(selection, factor)),
    rotate: ({ degrees, done, cancelled }) => finish(done, cancelled, (selection) => rotateChange(selection, degrees)),
    separate: ({ distance, done, cancelled }) => {
      const labels = state.selection?.labels;
      if (!done || cancelled || labels?.length !== 2) return;
      const [first, second] = labels.map((label) => ({ type: "ClassLabel", label }));
      actions.addChange(separateChange(first, second, distance));
    },
  };

  function finish(done, cancelled, make) {
    if (!done || cancelled) return;
    const selection = held();
    if (selection) actions.addChange(make(selection));
    else redraw();
  }

  /** Where the hand has moved points that no step may move, they go back. */
  function redraw() {
    const xy = shownPoints;
    shownPoints = null;
    if (xy) scatter.setPoints(xy);
    shownPoints = xy;
  }

  for (const [name, hand] of Object.entries(hands)) scatter.on(name, hand);

  const offs = [
    store.on(["positions", "shown"], drawPositions),
    store.on(["column", "theme"], drawColours),
    store.on(["column", "hidden"], drawVisible),
    store.on(["selection"], () => scatter.setSelection(state.selection?.mask ?? null)),
    store.on(["positions"], () => scatter.setFlags(state.positions.flags?.some(Boolean) ? state.positions.flags : null)),
    store.on(["ghosts", "positions", "shown", "column", "theme"], drawGhosts),
    store.on(["outlines", "outlined", "theme"], drawOutlines),
    store.on(["check", "plan"], drawMarks),
    store.on(["tool"], () => scatter.setTool(state.tool)),
    store.on(["theme"], () => scatter.setTheme(state.theme)),
  ];
  scatter.setTool(state.tool);
  scatter.setTheme(state.theme ?? "light");

  return {
    scatter,
    end() {
      offs.forEach((off) => off());
      scatter.destroy();
    },
  };
}
