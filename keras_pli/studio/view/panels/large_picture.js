/** One picture large, in the map's place; everything else goes on. */

import { element, iconButton, refill } from "../elements/dom.js";
import { icon } from "../elements/icons.js";

/**
 * Makes the place of the picture.
 *
 * @param {HTMLElement} root Of the view: Escape anywhere in it closes the picture.
 * @param {Object} store
 * @returns {HTMLElement}
 */
export function createLargePicture(root, store) {
  const { state } = store;
  const node = element("section", { class: "kps-large", "aria-label": "Large picture", hidden: true });
  let before = null;
  let about = null; // the sample that is looked at beside it

  function draw() {
    const { enlarged } = state;
    const opened = node.hidden && enlarged;
    if (opened) before = root.getRootNode().activeElement;
    node.hidden = !enlarged;
    if (!enlarged) return;
    const closer = iconButton("Close the picture (Esc)", icon("close"), close);
    refill(node, [
      element("div", { class: "kps-help-head" }, element("h2", {}, enlarged.title), closer),
      element("img", { src: enlarged.source, alt: enlarged.title, class: enlarged.smooth ? "kps-smooth" : "" }),
    ]);
    if (opened) closer.focus();
  }

  function close() {
    store.set({ enlarged: null });
    before?.focus?.();
  }

  /** What is shown belongs to one sample. */
  function closeWithSample() {
    const index = state.inspected?.index ?? null;
    if (index !== about) store.set({ enlarged: null });
    about = index;
  }

  root.addEventListener("keydown", (event) => {
    if (node.hidden || event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    close();
  }, { capture: true });
  store.on(["enlarged"], draw);
  store.on(["inspected"], closeWithSample);
  return node;
}
