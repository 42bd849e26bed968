/** Numbers and counts as people read them. */

/** A number in at most four figures, without needless zeros; an en dash where there is none. */
export function shortNumber(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace("e+", "e");
  return String(Number(value.toPrecision(size >= 1000 ? String(Math.trunc(size)).length : 3)));
}

/** A whole number with its thousands set apart. */
export function wholeNumber(value) {
  return Math.round(value).toLocaleString("en-US");
}

/** A count with its noun. */
export function counted(count, noun, many = `${noun}s`) {
  return `${wholeNumber(count)} ${count === 1 ? noun : many}`;
}

/** A share as per cent; more figures where they tell something. */
export function percentage(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  const value = 100 * share;
  const figures = value > 0 && value < 1 ? 2 : value > 99 && value < 100 ? 2 : value >= 10 ? 1 : 1;
  return `${Number(value.toFixed(figures))}\u00a0%`;
}

/** A difference with its sign. */
export function signedNumber(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? "−" : "+"}${text}`;
}

/** A place or a way on the map. */
export function pairWords(pair) {
  return `(${pair.map(shortNumber).join(", ")})`;
}

/** What was typed as a number; NaN where it is none. */
export function typedNumber(text) {
  const plain = String(text).trim().replace("−", "-").replace(",", ".");
  return plain === "" ? Number.NaN : Number(plain);
}

/** What was typed as indices: "3, 7 10-12" gives 3, 7, 10, 11, 12; throws with a sentence where it is not that. */
export function typedIndices(text, points) {
  const indices = new Set();
  for (const part of String(text).split(/[\s,;]+/).filter(Boolean)) {
    const range = /^(\d+)(?:[-–:](\d+))?$/.exec(part);
    if (!range) throw new Error(`“${part}” is no index. Write whole numbers, such as 3, 7, 10-12.`);
    const first = Number(range[1]);
    const last = Number(range[2] ?? range[1]);
    if (last >= points || first > last) {
      throw new Error(`There is no point ${part}: the points are 0 to ${points - 1}.`);
    }
    for (let index = first; index <= last; index += 1) indices.add(index);
  }
  if (!indices.size) throw new Error("No index was given. Write whole numbers, such as 3, 7, 10-12.");
  return [...indices].sort((a, b) => a - b);
}

/** Names in a sentence: "a", "a and b", "a, b and 3 more". */
export function listed(names, most = 3) {
  if (names.length <= 1) return names.join("");
  if (names.length <= most) return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  return `${names.slice(0, most - 1).join(", ")} and ${names.length - most + 1} more`;
}
