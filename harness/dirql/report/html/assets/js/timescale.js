// SPDX-License-Identifier: Apache-2.0
// Times on an axis: one unit for all labels, and as many digits as tell them apart.
"use strict";

(function () {
  const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

  /** Write an instant, in ns since the trace began, so that two that are `step` ns apart differ. */
  dirql.instant = function (ns, step) {
    const [size, unit] = UNITS.find(([size]) => Math.abs(ns) >= size) || UNITS[3];
    const digits = Math.min(9, Math.max(0, Math.ceil(Math.log10(size / Math.max(step, 0.5)) - 1e-9)));
    const text = (ns / size).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return `${text} ${unit}`;
  };

  /** Write the range in view: where it begins and ends, and how long it is. */
  dirql.rangeText = function (begin, end) {
    const step = (end - begin) / 200;
    return `${dirql.instant(begin, step)} to ${dirql.instant(end, step)}: ${dirql.duration(end - begin)}`;
  };
})();
