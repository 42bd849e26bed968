/** The bar above the map: tools, what colours the points, which map is shown, undo and redo. */

import { button, chooser, element, iconButton, refill } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { capitalised } from "../state/naming.js";

export const TOOLS = [
  {
    name: "pan",
    word: "Look",
    label: "Look around",
    key: "v",
    tip: "Drag to move the map, wheel or pinch to zoom, click a point to look at it",
  },
  {
    name: "lasso",
    word: "Lasso",
    label: "Lasso",
    key: "l",
    tip: "Draw around points to select them; Shift adds, Alt takes away",
  },
  { name: "box", word: "Box", label: "Box", key: "b", tip: "Draw a box around points to select them" },
  { name: "move", word: "Move", label: "Move", key: "m", tip: "Drag what is selected" },
  {
    name: "rotate_scale",
    word: "Scale",
    label: "Scale and rotate",
    key: "r",
    tip: "Pull the corners to contract or expand, turn at the knob",
  },
  {
    name: "separate",
    word: "Separate",
    label: "Separate",
    key: "s",
    tip: "Move two classes apart along the line between them",
  },
];

/** Keys of the bar besides those of the tools, for a list of shortcuts. */
export const BAR_KEYS = [
  { key: "k", label: "colour by the next value", act: (view) => stepColour(view, 1) },
  { key: "j", label: "colour by the value before", act: (view) => stepColour(view, -1) },
];

function stepColour({ store, actions }, step) {
  const { info, colour } = store.state;
  if (!info) return;
  const { columns } = info;
  actions.loadColumn(columns[(columns.indexOf(colour) + step + columns.length) % columns.length]);
}

/**
 * Makes the bar.
 *
 * @param {{store: Object, actions: Object, fit: function(): void, help: function(): void}} view
 * @returns {HTMLElement}
 */
export function createToolbar({ store, actions, fit, help }) {
  const { state } = store;
  const title = element("div", { class: "kps-title" });
  const tools = element("div", { class: "kps-tools", role: "radiogroup", "aria-label": "Tool" });
  const colour = element("span", { class: "kps-colour" });
  const shown = element("div", { class: "kps-switch", role: "group", "aria-label": "Map shown" });
  const edits = element("div", { class: "kps-edits" });
  const more = element(
    "div",
    { class: "kps-edits" },
    iconButton("Fit the map to the window (0)", icon("fit"), fit),
    iconButton("Keyboard shortcuts (?)", icon("help"), help),
  );

  function drawTitle() {
    const { info, round } = state;
    refill(title, [
      element(
        "div",
        { class: "kps-title-head" },
        element("h1", {}, "Studio"),
        round && element("span", { class: "kps-round-now", title: round.title ?? "" }, `Round ${round.number}`),
      ),
      info && element(
        "span",
        { class: "kps-muted", title: info.folder ?? "" },
        [info.title, info.layer].filter(Boolean).join(" · "),
      ),
    ]);
  }

  function drawTools() {
    refill(tools, TOOLS.map(({ name, word, label, key, tip }) =>
      iconButton(`${label} (${key.toUpperCase()})`, [
        icon(name),
        element("span", { class: "kps-tool-word" }, word),
      ], () => store.set({ tool: name }), {
        role: "radio",
        "aria-checked": String(state.tool === name),
        tabindex: state.tool === name ? "0" : "-1",
        title: `${label} (${key.toUpperCase()}): ${tip}`,
      })));
  }

  function stepTool(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const place = TOOLS.findIndex(({ name }) => name === state.tool);
    store.set({ tool: TOOLS[(place + step + TOOLS.length) % TOOLS.length].name });
    tools.querySelector('[aria-checked="true"]').focus();
  }

  function drawColour() {
    const names = state.info?.columns ?? ["label"];
    const titles = state.info?.column_titles ?? {};
    const options = names.map(
      (name) => ({ value: name, label: capitalised((titles[name] ?? name).split(":")[0]) }),
    );
    refill(colour, [
      element(
        "label",
        {},
        element("span", { class: "kps-muted" }, "Colour by "),
        chooser(options, state.colour, actions.loadColumn, { "data-focus": "colour", "aria-label": "Colour by" }),
      ),
      iconButton("Outlines and names of classes", icon("outline"), () => actions.showOutlines(!state.outlines), {
        "aria-pressed": String(state.outlines),
      }),
    ]);
  }

  function drawShown() {
    const options = [
      ["edited", "Edited", "Where the plan sends points"],
      ["original", "Original", "Where points lie by this round's map"],
      ...(state.positions.live ? [["live", "Training", "Where points are after the last epoch"]] : []),
    ];
    refill(shown, options.map(([name, label, tip]) =>
      button(
        label,
        () => store.set({ shown: name }),
        { "aria-pressed": String(state.shown === name), title: tip },
      )));
  }

  function drawEdits() {
    const { can_undo: before, can_redo: after } = state.plan;
    refill(edits, [
      iconButton("Undo (Ctrl+Z)", icon("undo"), actions.undo, { "aria-disabled": String(!before) }),
      iconButton("Redo (Ctrl+Shift+Z)", icon("redo"), actions.redo, { "aria-disabled": String(!after) }),
    ]);
  }

  tools.addEventListener("keydown", stepTool);
  store.on(["info", "round"], drawTitle);
  store.on(["tool"], drawTools);
  store.on(["info", "colour", "outlines"], drawColour);
  store.on(["positions", "shown"], drawShown);
  store.on(["plan"], drawEdits);
  [drawTitle, drawTools, drawColour, drawShown, drawEdits].forEach((draw) => draw());
  return element(
    "header",
    { class: "kps-toolbar" },
    title,
    tools,
    shown,
    colour,
    element("span", { class: "kps-space" }),
    edits,
    more,
  );
}
