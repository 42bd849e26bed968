/** How things that the server names are called on the page. */

/** A text with its first letter large. */
export function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The colours of a column of numbers, from low to high, on the ground of a theme. */
export function rampOf({ ramp, dark_ramp: dark }, theme) {
  return theme === "dark" ? dark : ramp;
}

/**
 * The methods of attribution to choose from.
 *
 * @param {Object} info What `hello` told.
 * @returns {Array<{name: string, title: string}>}
 */
export function methodsOf({ methods, method_titles: titles = {} }) {
  return methods.map((name) => ({ name, title: titles[name] ?? name }));
}

/** A sample by its number, and the group that it belongs to. */
export function sampleWords({ index, group }) {
  return `sample ${index}${group === null || group === undefined ? "" : ` · ${group}`}`;
}
