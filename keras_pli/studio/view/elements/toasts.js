/** Messages that come and stay until they are read. */

import { element, iconButton } from "./dom.js";
import { icon } from "./icons.js";

const NOTE_MILLISECONDS = 6000;

/**
 * Makes the place of messages.
 *
 * @returns {{node: HTMLElement, error: function(string): void, note: function(string): void}} An error stays until
 *   it is closed; a note goes by itself, unless the pointer or the focus is on it.
 */
export function createToasts() {
  const errors = element("div", { class: "kps-toasts-errors", role: "alert" });
  const notes = element("div", { class: "kps-toasts-notes", role: "status" });
  const node = element("div", { class: "kps-toasts" }, errors, notes);

  function show(place, sentence, kind) {
    for (const known of place.children) if (known.dataset.sentence === sentence) known.remove();
    const toast = element(
      "div",
      { class: `kps-toast kps-${kind}`, "data-sentence": sentence },
      element("p", {}, sentence),
      iconButton("Close this message", icon("close"), () => toast.remove()),
    );
    place.append(toast);
    return toast;
  }

  function leaveLater(toast) {
    setTimeout(() => {
      if (toast.matches(":hover, :focus-within")) leaveLater(toast);
      else toast.remove();
    }, NOTE_MILLISECONDS);
  }

  return {
    node,
    error(sentence) {
      show(errors, sentence, "error");
    },
    note(sentence) {
      leaveLater(show(notes, sentence, "note"));
    },
  };
}
