// SPDX-License-Identifier: Apache-2.0
// The marks of the violations on the lanes: a line at each record that shows one, and a frame around the chosen one's.
"use strict";

(function () {
  const line = (data, box, style) => ({ type: "dirqlLines", shape: { data, box }, style: { fill: null, ...style }, silent: true });

  /** Draw the marks of all violations in view. */
  dirql.drawMarks = function (state, grid, view) {
    const { model, chosen, palette } = state;
    const x = (time) => grid.x + ((time - view.begin) / (view.end - view.begin)) * grid.width;
    const others = [[], []];
    for (const violation of dirql.facts.violations) {
      if (violation.number !== chosen) {
        for (const place of violation.places) {
          mark(others[violation.warning ? 1 : 0], place);
        }
      }
    }
    const children = [
      line(others[1], grid, { stroke: palette.warn, lineWidth: 1.5, opacity: 0.8 }),
      line(others[0], grid, { stroke: palette.mark, lineWidth: 1.5, opacity: 0.8 }),
    ];
    const violation = dirql.facts.violations.find((each) => each.number === chosen);
    if (violation && violation.places.length) {
      children.push(...frame(violation));
    }
    return { type: "group", children };

    function mark(data, place) {
      const time = model.time[place];
      if (time >= view.begin && time <= view.end) {
        const { ran } = dirql.laneBox(grid, model.cpuOf(place), model.cpus);
        data.push(x(time), ran.y - 2, x(time), ran.y + ran.height);
      }
    }

    function frame({ places, warning }) {
      const colour = warning ? palette.warn : palette.mark;
      const times = places.map((place) => model.time[place]);
      const left = Math.max(x(Math.min(...times)) - 5, grid.x);
      const right = Math.min(x(Math.max(...times)) + 5, grid.x + grid.width);
      const made = [];
      if (right > left) {
        for (const cpu of new Set(places.map(model.cpuOf))) {
          const { top, height } = dirql.laneBox(grid, cpu, model.cpus);
          const shape = { x: left, y: top + 1, width: right - left, height: height - 2 };
          made.push({ type: "rect", shape, style: { fill: colour, opacity: 0.13 }, silent: true });
          made.push({ type: "rect", shape, style: { fill: null, stroke: colour, lineWidth: 1.5 }, silent: true });
        }
      }
      const order = [...new Set(places)].sort((a, b) => model.time[a] - model.time[b] || a - b);
      let [lastX, lastCpu] = [-Infinity, -1];
      for (const place of order) {
        const [at, cpu] = [x(model.time[place]), model.cpuOf(place)];
        if (at < grid.x - 1 || at > grid.x + grid.width + 1) {
          continue;
        }
        const { ran, top } = dirql.laneBox(grid, cpu, model.cpus);
        made.push(line([at, top + 12, at, ran.y + ran.height], grid, { stroke: colour, lineWidth: 2.5 }));
        if (cpu !== lastCpu || at - lastX > 17) {
          made.push(...badge(at, top + 8, String(order.indexOf(place) + 1), colour));
          [lastX, lastCpu] = [at, cpu];
        }
      }
      return made;
    }

    function badge(cx, cy, text, colour) {
      return [
        { type: "circle", shape: { cx, cy, r: 7.5 }, style: { fill: colour }, silent: true },
        {
          type: "text",
          style: { text, x: cx, y: cy, fill: palette.paper, fontSize: 10, fontWeight: "bold", align: "center", verticalAlign: "middle" },
          silent: true,
        },
      ];
    }
  };
})();
