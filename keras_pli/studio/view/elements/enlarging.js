/** A small picture that can be shown large. */

import { element } from "./dom.js";

/**
 * Makes a picture a button.
 *
 * @param {HTMLImageElement} image Its text says what it shows.
 * @param {function(): void} enlarge
 */
export function enlargeable(image, enlarge) {
  return element(
    "button",
    { type: "button", class: "kps-enlargeable", title: "Show it large", on: { click: enlarge } },
    image,
  );
}
