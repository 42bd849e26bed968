/** Keys of the whole view. None of them deletes a point. */

import { element, iconButton } from "../elements/dom.js";
import { icon } from "../elements/icons.js";
import { SAMPLE_KEYS } from "./inspector.js";
import { MAP_KEYS } from "../map/map_keys.js";
import { TABS } from "../elements/sections.js";
import { BAR_KEYS, TOOLS } from "./toolbar.js";

const PANEL_KEYS = [...BAR_KEYS, ...SAMPLE_KEYS];

const VIEW_KEYS = [
  ["Ctrl+Z", "undo"],
  ["Ctrl+Shift+Z or Ctrl+Y", "redo"],
  ["Ctrl+A", "select all that is shown"],
  ["Escape", "give up what is under way, then clear the selection"],
  ["O", "outlines and names of classes"],
  ["E", "edited map or original"],
  ...PANEL_KEYS.map(({ key, label }) => [key.toUpperCase(), label]),
  ["1 2 3 4", `panels: ${TABS.map(({ label }) => label.toLowerCase()).join(", ")}`],
  ["?", "this list"],
];

/**
 * Listens to keys on the view; where it is the whole page, to all keys.
 *
 * @param {HTMLElement} root
 * @param {{store: Object, actions: Object, fit: function(): void, help: Object}} view
 * @returns {function(): void} Ends that.
 */
export function attachShortcuts(root, view) {
  const { store, actions, fit, help } = view;
  const tools = new Map(TOOLS.map(({ key, name }) => [key, () => store.set({ tool: name })]));
  const plain = new Map([
    ...tools,
    ...PANEL_KEYS.map(({ key, act }) => [key, () => act(view)]),
    ["?", () => help.toggle()],
    ["o", () => actions.showOutlines(!store.state.outlines)],
    ["e", () => store.set({ shown: store.state.shown === "original" ? "edited" : "original" })],
    ["0", fit],
    ["escape", giveUp],
    ...TABS.map(
      ({ name }, i) => [
        String(i + 1),
        () => store.set({ tab: name, sheet: store.state.sheet === "low" ? "half" : store.state.sheet }),
      ],
    ),
  ]);

  function giveUp() {
    if (help.isOpen()) return help.close();
    if (store.state.comparing) return actions.closeComparison();
    return store.state.picking ? store.set({ picking: false }) : actions.clear();
  }

  const target = root.closest(".kps-host") ? root.ownerDocument : root;
  target.addEventListener("keydown", press);

  function press(event) {
    if (event.defaultPrevented || event.isComposing || event.altKey) return;
    const key = event.key.toLowerCase();
    if (isEntry(event.target)) return;
    const control = event.ctrlKey || event.metaKey;
    const act = control ? controlled(key, event.shiftKey) : plain.get(key);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook has keys of its own
    act();
  }

  function controlled(key, shift) {
    if (key === "z") return shift ? actions.redo : actions.undo;
    if (key === "y") return actions.redo;
    if (key === "a") return actions.selectAll;
    return undefined;
  }

  return () => target.removeEventListener("keydown", press);
}

/** Whether keys are letters to an element: there they write, and undo what was written. */
function isEntry(node) {
  return node.matches('input:not([type="checkbox"]), textarea, select, [contenteditable]');
}

/**
 * Makes the list of keys, beside the map and not over the whole page.
 *
 * @returns {{node: HTMLElement, toggle: Function, close: Function, isOpen: function(): boolean}}
 */
export function createShortcutHelp() {
  let before = null;
  const closer = iconButton("Close the list of keys", icon("close"), () => close());
  const node = element(
    "section",
    { class: "kps-help", "aria-label": "Keyboard shortcuts", hidden: true },
    element("div", { class: "kps-help-head" }, element("h2", {}, "Keyboard shortcuts"), closer),
    keyList("Tools", TOOLS.map(({ key, label }) => [key.toUpperCase(), label])),
    keyList("On the map", MAP_KEYS),
    keyList("Everywhere", VIEW_KEYS),
  );

  function close() {
    node.hidden = true;
    before?.focus?.();
  }

  return {
    node,
    close,
    isOpen: () => !node.hidden,
    toggle() {
      if (!node.hidden) return close();
      before = node.getRootNode().activeElement;
      node.hidden = false;
      return closer.focus();
    },
  };
}

function keyList(title, keys) {
  return element(
    "div",
    {},
    element("h3", {}, title),
    element(
      "dl",
      {},
      keys.map(
        ([key, meaning]) => element(
          "div",
          {},
          element("dt", {}, element("kbd", {}, key)),
          element("dd", {}, meaning),
        ),
      ),
    ),
  );
}
