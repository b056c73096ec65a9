// SPDX-License-Identifier: Apache-2.0
// Moving about in the timeline by buttons and keys, and reading it record by record.
"use strict";

(function () {
  const ZOOM = 1.6;
  const STEP = 0.2;

  const KEYS = {
    ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", ArrowUp: "in", "-": "out", "_": "out", ArrowDown: "out",
    "0": "all", Home: "begin", End: "end", v: "violation", ",": "before", ".": "after", PageUp: "pageleft", PageDown: "pageright",
  };

  function move(state, how) {
    const { begin, end } = state.view;
    const length = end - begin;
    const { begin: first, end: last } = state.model;
    const zoom = (factor) => dirql.show(state, (begin + end) / 2 - (length * factor) / 2, (begin + end) / 2 + (length * factor) / 2);
    const shift = (by) => dirql.show(state, begin + by, end + by);
    const moves = {
      in: () => zoom(1 / ZOOM),
      out: () => zoom(ZOOM),
      left: () => shift(-STEP * length),
      right: () => shift(STEP * length),
      pageleft: () => shift(-length),
      pageright: () => shift(length),
      begin: () => dirql.show(state, first, first + length),
      end: () => dirql.show(state, last - length, last),
      all: () => dirql.show(state, first, last),
      violation: () => dirql.centre(state.chosen),
      before: () => read(state, -1),
      after: () => read(state, 1),
    };
    moves[how]?.();
  }

  /** Step to the next record of the same CPU, tell it, and keep it in view. */
  function read(state, by) {
    const { model, view } = state;
    if (state.pointed === undefined) {
      const cpu = model.starts.findIndex((start, at) => model.starts[at + 1] > start);
      state.pointed = dirql.inView(model, Math.max(cpu, 0), view.begin, view.end)[0];
    } else {
      const cpu = model.cpuOf(state.pointed);
      state.pointed = Math.min(Math.max(state.pointed + by, model.starts[cpu]), model.starts[cpu + 1] - 1);
    }
    dirql.point(state, state.pointed);
  }

  /** Show a record: in view, with its tooltip, and in words below. */
  dirql.point = function (state, place) {
    const time = state.model.time[place];
    const { begin, end } = state.view;
    if (time < begin || time > end) {
      dirql.show(state, time - (end - begin) / 2, time + (end - begin) / 2);
    }
    state.pointed = place;
    dirql.byId("record-line").textContent = dirql.recordLine(state.model, place);
    const grid = state.grid();
    const cpu = state.model.cpuOf(place);
    const { ran } = dirql.laneBox(grid, cpu, state.model.cpus);
    const view = state.view;
    state.chart.dispatchAction({
      type: "showTip",
      x: grid.x + ((time - view.begin) / (view.end - view.begin)) * grid.width,
      y: ran.y + ran.height / 2,
      tooltip: { formatter: () => dirql.tooltip(state.model, { cpu, place, time }), show: true },
    });
  };

  dirql.startMoves = function (state) {
    const element = dirql.byId("timeline-chart");
    for (const button of document.querySelectorAll("[data-move]")) {
      button.addEventListener("click", () => move(state, button.dataset.move));
    }
    element.addEventListener("keydown", (event) => {
      const how = KEYS[event.key];
      if (how && !event.ctrlKey && !event.altKey && !event.metaKey) {
        event.preventDefault();
        move(state, how);
      }
    });
    const range = dirql.byId("range");
    state.onView = () => {
      const { first, last } = state.model;
      range.textContent = dirql.rangeText(Math.max(state.view.begin, first), Math.min(state.view.end, last));
      range.dataset.begin = String(state.view.begin);
      range.dataset.end = String(state.view.end);
    };
    state.onView();
    legend(state);
  };

  function legend(state) {
    const { model } = state;
    const used = new Set();
    for (let i = 0; i < model.kind.length; i++) {
      used.add(model.kind[i]);
    }
    const box = dirql.byId("legend");
    for (const [kind, name] of Object.entries(dirql.facts.timeline.kinds)) {
      if (used.has(Number(kind))) {
        box.append(dirql.element("span", {}, dirql.element("i", { class: `swatch kind-${kind}` }), name));
      }
    }
    const more = [["spin", "spins for a lock", used.has(model.spin)], ["held", "holds a lock", model.lock.begin.length > 0]];
    for (const [kind, name, is] of more) {
      if (is) {
        box.append(dirql.element("span", {}, dirql.element("i", { class: `swatch ${kind}` }), name));
      }
    }
    dirql.paintLegend = () => {
      const palette = dirql.palette();
      for (const swatch of box.querySelectorAll(".swatch")) {
        const kind = /kind-(\d+)/.exec(swatch.className);
        swatch.style.background = kind ? palette.kinds[Number(kind[1])] : "";
      }
    };
    dirql.paintLegend();
  }
})();
