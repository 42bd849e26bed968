/** Messages that come over the page, and go by themselves. */

import { element, iconButton } from "./dom.js";
import { icon } from "./icons.js";

const STAY_MILLISECONDS = { error: 12000, note: 6000 };
const MOST_TOASTS = 3;

/**
 * Makes the place of messages.
 *
 * @returns {{node: HTMLElement, error: function(string, string=): void, note: function(string): void,
 *   solved: function(string): void}} A message stays while the pointer or the focus is on it; beyond three the
 *   oldest goes, and the newest is the lowest. `error`'s second argument says what failed: `solved` with the same
 *   takes the message away, for by then it works.
 */
export function createToasts() {
  const places = {
    error: element("div", { class: "kps-toasts-errors", role: "alert" }),
    note: element("div", { class: "kps-toasts-notes", role: "status" }),
  };
  const node = element("div", { class: "kps-toasts" }, places.error, places.note);
  let shown = []; // the oldest first
  let count = 0;

  function show(kind, sentence, about = null) {
    takeAway((known) => known.sentence === sentence);
    count += 1;
    const toast = element(
      "div",
      { class: `kps-toast kps-${kind}`, style: { order: count } },
      element("p", {}, sentence),
      iconButton("Close this message", icon("close"), () => takeAway((known) => known.toast === toast)),
    );
    places[kind].append(toast);
    shown.push({ toast, sentence, about });
    takeAway((known) => shown.indexOf(known) < shown.length - MOST_TOASTS);
    leaveLater(toast, STAY_MILLISECONDS[kind]);
  }

  function takeAway(which) {
    const leaving = shown.filter(which);
    shown = shown.filter((known) => !leaving.includes(known));
    for (const { toast } of leaving) toast.remove();
  }

  function leaveLater(toast, milliseconds) {
    setTimeout(() => {
      if (toast.matches(":hover, :focus-within")) leaveLater(toast, milliseconds);
      else takeAway((known) => known.toast === toast);
    }, milliseconds);
  }

  return {
    node,
    error: (sentence, about = null) => show("error", sentence, about),
    note: (sentence) => show("note", sentence),
    solved: (about) => takeAway((known) => known.about !== null && known.about === about),
  };
}
