// SPDX-License-Identifier: Apache-2.0
// The one name of the page's scripts, and what all of them use: numbers in words, elements without markup.
"use strict";

const dirql = {};

dirql.facts = JSON.parse(document.getElementById("data-facts").textContent);

/** Write a time in ns with three digits and the unit that fits. */
dirql.duration = function (ns) {
  for (const [limit, unit, size] of [[1e3, "ns", 1], [1e6, "µs", 1e3], [1e9, "ms", 1e6], [Infinity, "s", 1e9]]) {
    if (ns < limit * 0.9995) {
      const value = ns / size;
      const digits = unit === "ns" || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
      return `${value.toFixed(digits)} ${unit}`;
    }
  }
  return "";
};

/** Write a count with its thousands apart. */
dirql.count = (value) => value.toLocaleString("en");

/**
 * Make an element. Texts become text, never markup.
 * @param {string} tag
 * @param {Object<string, string>} attributes
 * @param {...(Node|string)} children
 */
dirql.element = function (tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

/** Return the index of the first of `values[low..high)` that is greater than `value`. */
dirql.above = function (values, value, low, high) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] <= value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
};

dirql.byId = (id) => document.getElementById(id);
