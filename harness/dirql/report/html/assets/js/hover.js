// SPDX-License-Identifier: Apache-2.0
// What is under the pointer: the slice with its duration, what it is in, the lock, the last record with its call site.
"use strict";

(function () {
  const LOCK_WORDS = ["holds", "waits for", "holds, as a reader,", "waits, as a reader, for"];
  const TOUCH = 4; // pixels

  /** The record's text without its event: what it is about. */
  function about(model, place) {
    const text = model.texts[model.text[place]] || "";
    const space = text.indexOf(" ");
    return space < 0 ? "" : text.slice(space + 1);
  }

  /** The name for a slice: its routine as short as a bar has room for. */
  dirql.sliceName = function (model, slice) {
    const kind = dirql.facts.timeline.kinds[model.slice.kind[slice]];
    const text = about(model, model.slice.source[slice]);
    if (kind === "idle") {
      return kind;
    }
    const routine = [...text.matchAll(/[\w.-]+!(\w+)/g)].pop();
    const vector = /^vector (0x[0-9a-f]+)/.exec(text);
    return vector ? `${kind} ${vector[1]}` : routine ? routine[1] : kind;
  };

  dirql.lockName = function (model, lock) {
    return about(model, model.lock.begin[lock]).split(" by ")[0];
  };

  function sliceLine(model, slice) {
    const { begin, end, open, kind, source } = model.slice;
    const from = model.time[begin[slice]];
    const took = dirql.duration(model.time[end[slice]] - from);
    const name = dirql.facts.timeline.kinds[kind[slice]];
    const what = name === "idle" ? "" : about(model, source[slice]);
    return { name, took: open[slice] ? `${took} and on` : took, what };
  }

  /** Return what is at a point of the chart; null where there is nothing. */
  dirql.hit = function (state, grid, view, px, py) {
    const { model } = state;
    const cpu = Math.floor(((py - grid.y) / grid.height) * model.cpus);
    if (px < grid.x || px > grid.x + grid.width || cpu < 0 || cpu >= model.cpus) {
      return null;
    }
    const perPixel = (view.end - view.begin) / grid.width;
    const time = view.begin + (px - grid.x) * perPixel;
    const [first, last] = [model.starts[cpu], model.starts[cpu + 1]];
    let place = dirql.above(model.time, time, first, last) - 1;
    if (place + 1 < last && model.time[place + 1] - time < TOUCH * perPixel && (place < first || time - model.time[place] > model.time[place + 1] - time)) {
      place += 1; // the next record is nearer, and as good as touched
    }
    if (place < first) {
      return null;
    }
    return { cpu, place, time: Math.max(time, model.time[place]) };
  };

  /** Return a record in one line. */
  dirql.recordLine = function (model, place) {
    const text = model.texts[model.text[place]];
    return `CPU ${model.cpuOf(place)}, ${dirql.instant(model.time[place], 1)}, IRQL ${model.irql[place]}: ${text}`;
  };

  /** Make what the tooltip says of a hit. */
  dirql.tooltip = function (model, { cpu, place, time }) {
    const { element } = dirql;
    const box = element("div", { class: "tip" });
    const chain = [];
    for (let slice = model.owner[place]; slice >= 0; slice = model.slice.parent[slice]) {
      chain.push(sliceLine(model, slice));
    }
    const spins = model.kind[place] === model.spin;
    const head = chain[0];
    box.append(
      element("div", { class: "tip-head" }, `CPU ${cpu}, IRQL ${model.level[place]}`, element("span", {}, dirql.instant(time, 1))),
    );
    if (spins) {
      box.append(element("div", { class: "tip-main" }, "spins for a lock"));
    }
    if (head) {
      box.append(element("div", { class: "tip-main" }, element("b", {}, head.name), ` ${head.took}`));
      if (head.what) {
        box.append(element("div", { class: "tip-code" }, head.what));
      }
    }
    for (const outer of chain.slice(1)) {
      box.append(element("div", { class: "tip-outer" }, `in ${outer.name}, ${outer.took}`));
    }
    const lock = dirql.lockAt(model, cpu, place, time);
    if (lock >= 0) {
      const took = dirql.duration(model.time[model.lock.end[lock]] - model.time[model.lock.begin[lock]]);
      const text = about(model, model.lock.begin[lock]);
      box.append(element("div", { class: "tip-lock" }, `${LOCK_WORDS[model.lock.kind[lock]]} ${text}: ${took}`));
    }
    const [event, rest] = [model.texts[model.text[place]].split(" ")[0], about(model, place)];
    const since = dirql.duration(time - model.time[place]);
    box.append(
      element("div", { class: "tip-record" }, element("b", {}, event), ` ${rest}`, element("span", {}, ` (${since} before)`)),
    );
    for (const violation of dirql.facts.violations) {
      if (violation.places.includes(place)) {
        box.append(element("div", { class: "tip-wrong" }, `shows ${violation.clause} (violation ${violation.number})`));
      }
    }
    return box;
  };
})();
