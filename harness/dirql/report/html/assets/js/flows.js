// SPDX-License-Identifier: Apache-2.0
// Who interrupted whom: vectors to CPUs to DPCs, and counts from CPU to CPU.
"use strict";

(function () {
  /**
   * Make the option of a table of counts from CPU to CPU.
   * @param {number[][]} counts by source, then by target
   * @param {string} from what a source is called
   * @param {string} to what a target is called
   */
  dirql.matrix = function (palette, counts, from, to) {
    const cpus = counts.map((_, cpu) => `${cpu}`);
    const cells = counts.flatMap((row, source) => row.map((count, target) => [target, source, count]));
    const most = Math.max(1, ...cells.map((cell) => cell[2]));
    const common = dirql.common(palette);
    const name = { nameLocation: "middle", nameTextStyle: { color: palette.faint, fontSize: 11 } };
    const axis = (more) => dirql.axis(palette, { type: "category", data: cpus, splitLine: { show: false }, axisTick: { show: false }, ...name, ...more });
    return {
      ...common,
      tooltip: {
        ...common.tooltip,
        formatter: ({ value }) => dirql.element("div", {}, `${from} CPU ${value[1]}, ${to} CPU ${value[0]}: ${dirql.count(value[2])}`),
      },
      grid: { left: 56, right: 12, top: 8, bottom: 44 },
      xAxis: axis({ name: `${to} CPU`, nameGap: 24 }),
      yAxis: axis({ name: `${from} CPU`, inverse: true, nameGap: 32 }),
      series: [
        // Not a heat map of the library's: that paints its cells in a canvas of their own, which paper does not get.
        { type: "custom", data: cells, encode: { x: 0, y: 1, tooltip: [0, 1, 2] }, renderItem: (_, api) => cell(api, palette, most, counts.length) },
      ],
    };
  };

  function cell(api, palette, most, cpus) {
    const count = api.value(2);
    const [x, y] = api.coord([api.value(0), api.value(1)]);
    const [width, height] = api.size([1, 1]);
    const shape = { x: x - width / 2 + 1, y: y - height / 2 + 1, width: width - 2, height: height - 2 };
    const children = [{ type: "rect", shape, style: { fill: echarts.color.lerp(count / most, palette.ramp) } }];
    if (count && cpus <= 8) {
      const style = { text: short(count), x, y, align: "center", verticalAlign: "middle", fontSize: 11, fill: ink(palette, count / most) };
      children.push({ type: "text", style, silent: true });
    }
    return { type: "group", children };
  }

  const ink = (palette, share) => (palette.dark === share > 0.62 ? "#10171e" : "#ffffff");

  function short(count) {
    return count < 10000 ? dirql.count(count) : count < 1e6 ? `${(count / 1e3).toFixed(count < 1e5 ? 1 : 0)}k` : `${(count / 1e6).toFixed(1)}M`;
  }

  function sankey(palette, links) {
    const names = [...new Set(links.flatMap(([source, target]) => [source, target]))];
    const common = dirql.common(palette);
    const number = (name) => Number(/^CPU (\d+)/.exec(name)?.[1] ?? -1);
    const tint = (name) => {
      const cpu = number(name);
      return cpu < 0 ? palette.kinds[5] : / ran /.test(name) ? palette.kinds[3] : palette.kinds[7];
    };
    return {
      ...common,
      tooltip: {
        ...common.tooltip,
        formatter: ({ dataType, data, name, value }) =>
          dirql.element("div", {}, dataType === "edge" ? `${data.source} → ${data.target}: ${dirql.count(data.value)}` : `${name}: ${dirql.count(value)}`),
      },
      series: [
        {
          type: "sankey",
          left: 6,
          right: 118,
          top: 8,
          bottom: 8,
          nodeWidth: 12,
          nodeGap: 9,
          draggable: false,
          layoutIterations: 24,
          data: names.map((name) => ({ name, itemStyle: { color: tint(name), borderWidth: 0 } })),
          links: links.map(([source, target, value]) => ({ source, target, value })),
          lineStyle: { color: "source", opacity: 0.32, curveness: 0.5 },
          label: { color: palette.ink, fontSize: 11, textBorderWidth: 0 },
          emphasis: { focus: "adjacency" },
        },
      ],
    };
  }

  dirql.startFlows = function () {
    const { links, dpcs } = dirql.facts.flow;
    const graph = dirql.byId("sankey-chart");
    if (graph) {
      const ends = [new Set(links.map((link) => link[0])), new Set(links.map((link) => link[1]))];
      graph.style.height = `${Math.min(Math.max(Math.max(ends[0].size, ends[1].size) * 34, 220), 520)}px`;
      dirql.chart(graph, (palette) => sankey(palette, links));
    }
    const table = dirql.byId("dpc-chart");
    if (table) {
      table.style.height = `${Math.min(Math.max(dpcs.length * 34, 160) + 60, 520)}px`;
      dirql.chart(table, (palette) => dirql.matrix(palette, dpcs, "queued by", "run by"));
    }
  };
})();
