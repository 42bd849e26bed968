/** What a person has set for a session, kept by the browser for the next look at it. */

const KEPT_AS = "keras-pli studio";

/**
 * What was set.
 *
 * @param {{folder?: string, title: string}} info What `hello` told of the session.
 * @returns {Object} Empty where nothing is known, or where the page may keep nothing.
 */
export function readPreferences(info) {
  try {
    return JSON.parse(localStorage.getItem(keyOf(info))) ?? {};
  } catch {
    return {};
  }
}

/** Keeps more of it, where the page may. */
export function keepPreferences(info, patch) {
  try {
    localStorage.setItem(keyOf(info), JSON.stringify({ ...readPreferences(info), ...patch }));
  } catch {
    // A notebook's frame may have no storage of its own.
  }
}

function keyOf({ folder, title }) {
  return `${KEPT_AS} ${folder ?? title}`;
}
