/** The card beside the pointer: what the point under it is. */

import { element, refill } from "../elements/dom.js";
import { percentage } from "../elements/formatting.js";
import { sampleWords } from "../state/naming.js";

const GAP = 14;

/**
 * Makes the card.
 *
 * @param {HTMLElement} parent The map's place; the pointer's coordinates are from its upper left corner.
 * @param {Object} store
 */
export function createHoverCard(parent, store) {
  const { state } = store;
  const card = element("div", { class: "kps-hover", hidden: true, "aria-hidden": "true" });
  parent.append(card);

  function draw() {
    const { hover } = state;
    card.hidden = !hover;
    if (!hover) return;
    const { index, card: told, picture } = hover;
    refill(card, [
      picture && element("img", { src: picture, alt: "" }),
      element(
        "div",
        {},
        element("b", {}, told ? told.name : `sample ${index}`),
        told && verdict(told),
        told && element("span", { class: "kps-muted" }, sampleWords(told)),
      ),
    ]);
    place();
  }

  function verdict({ name, predicted_name: predicted, confidence }) {
    if (predicted === undefined || predicted === null) return null;
    const wrong = predicted !== name;
    return element(
      "span",
      { class: wrong ? "kps-taken-for" : "" },
      `${wrong ? "taken for" : "as predicted,"} ${wrong ? predicted : ""} ${percentage(confidence)}`,
    );
  }

  function place() {
    const { pointer } = state;
    if (!pointer) return;
    const { clientWidth: width, clientHeight: height } = parent;
    const [x, y] = pointer;
    const left = x + GAP + card.offsetWidth > width ? x - GAP - card.offsetWidth : x + GAP;
    const top = y + GAP + card.offsetHeight > height ? y - GAP - card.offsetHeight : y + GAP;
    card.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
  }

  store.on(["hover"], draw);
  store.on(["pointer"], place);
}
