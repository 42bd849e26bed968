/** The samples of a selection as pictures, each with what it is and what it is taken for. */

import { maskIndices, spreadOver } from "../state/arrays.js";
import { button, element, refill } from "../elements/dom.js";
import { wholeNumber } from "../elements/formatting.js";
import { section } from "../elements/sections.js";

const FEW_SAMPLES = 24;
const MOST_SAMPLES = 192;
const CALM_MILLISECONDS = 250; // of a selection, before its pictures are asked for

/**
 * Makes the section. Pictures are fetched while it is open and seen, and no more than are shown.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement}
 */
export function createGalleryPanel({ store, actions }) {
  const { state } = store;
  const body = element("div", { class: "kps-gallery" });
  const side = element("span", { class: "kps-side-words" });
  const node = section("Samples of the selection", [body], { side });
  let mask = null; // of which samples are shown
  let most = FEW_SAMPLES;
  let waiting = null;
  let asked = 0;

  function renew() {
    const { selection } = state;
    node.hidden = !selection?.count;
    // What was shown stays until it is known what comes.
    if (!selection || selection.pending || selection.mask === mask) return;
    mask = selection.mask;
    most = FEW_SAMPLES;
    drawSoon();
  }

  function drawSoon() {
    clearTimeout(waiting);
    waiting = setTimeout(draw, CALM_MILLISECONDS);
  }

  async function draw() {
    if (!mask || node.hidden || !node.open || state.tab !== "edit") return;
    asked += 1;
    const mine = asked;
    const all = maskIndices(mask);
    const some = spreadOver(all, most);
    const [labels, said, images] = await Promise.all([
      actions.labelCodes(), actions.predictionCodes(), actions.pictures(some),
    ]);
    if (mine !== asked) return;
    side.textContent = some.length < all.length ? `${some.length} of ${wholeNumber(all.length)}` : "";
    side.title = some.length < all.length ? "Spread evenly over the selection" : "";
    refill(body, [
      element("ul", { class: "kps-strip" }, some.map((index, i) => sample(index, images[i], labels, said))),
      some.length < all.length && most < MOST_SAMPLES && button("Twice as many", extend, { class: "kps-link" }),
    ]);
  }

  function extend() {
    most *= 2;
    draw();
  }

  function sample(index, image, labels, said) {
    const { classes } = state.info;
    const name = classes[labels?.[index]]?.name ?? "no label";
    const taken = classes[said?.[index]]?.name ?? "nothing";
    const wrong = name !== taken;
    return element("li", {}, element(
      "button",
      {
        type: "button",
        class: wrong ? "kps-other" : "",
        "data-focus": `of selection ${index}`,
        title: `Sample ${index}: ${name}, ${wrong ? `taken for ${taken}` : "predicted as such"}`,
        on: { click: () => look(index) },
      },
      image ? element("img", { src: image, alt: `Sample ${index}` }) : element("span", { class: "kps-noimage" }, String(index)),
      element("span", { class: "kps-strip-name" }, name),
      element("span", { class: wrong ? "kps-strip-name kps-taken-for" : "kps-strip-name" }, wrong ? `→ ${taken}` : "✓"),
    ));
  }

  function look(index) {
    store.set({ tab: "sample" });
    actions.inspect(index);
  }

  node.addEventListener("toggle", draw);
  store.on(["selection"], renew);
  store.on(["tab", "round"], drawSoon);
  renew();
  return node;
}
