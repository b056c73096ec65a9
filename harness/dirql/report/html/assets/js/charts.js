// SPDX-License-Identifier: Apache-2.0
// The bars of time at each IRQL, and the histograms.
"use strict";

(function () {
  function residency(palette) {
    const { levels, residency: shares } = dirql.facts;
    return {
      ...dirql.common(palette),
      grid: { left: 62, right: 18, top: 34, bottom: 26 },
      legend: { top: 0, left: 62, textStyle: { color: palette.ink }, itemWidth: 14, itemHeight: 10, type: "scroll", pageTextStyle: { color: palette.ink }, pageIconColor: palette.ink },
      xAxis: dirql.axis(palette, { type: "value", max: 1, axisLabel: { color: palette.faint, formatter: (share) => `${Math.round(share * 100)}%` } }),
      yAxis: dirql.axis(palette, { type: "category", inverse: true, data: shares.map((_, cpu) => `CPU ${cpu}`), axisTick: { show: false }, axisLabel: { color: palette.ink, fontWeight: 600 } }),
      series: levels.map(([irql, name], at) => ({
        type: "bar",
        stack: "time",
        name,
        barMaxWidth: 26,
        color: colour(palette, irql),
        itemStyle: { borderColor: palette.paper, borderWidth: 0.5 },
        data: shares.map((row) => row[at]),
        tooltip: { valueFormatter: (share) => `${(share * 100).toFixed(2)}%` },
      })),
    };
  }

  function colour(palette, irql) {
    const { levels } = palette;
    if (irql <= 2) {
      return levels[irql];
    }
    return irql >= 13 ? levels[irql - 6] : echarts.color.lerp((irql - 3) / 9, levels.slice(3, 7)); // devices by their level
  }

  const ruler = (value, name, palette, more) => ({
    xAxis: value,
    name,
    lineStyle: { color: palette.ink, type: "solid", width: 1.2, ...more },
    label: { formatter: name, color: palette.ink, fontSize: 10, position: "end", distance: name === "budget" ? 13 : 2 },
  });

  /** Write the powers of ten on a logarithmic axis, not where it happens to end. */
  const power = (write) => (value) => (Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6 ? write(value) : "");

  function histogram(palette, data) {
    const { edges, counts } = data;
    const bars = counts.map((count, at) => [edges[at], edges[at + 1], count]).filter((bar) => bar[2]);
    const top = Math.max(...counts);
    const far = data.budget && data.budget > edges[edges.length - 1] * 3;
    const lines = [ruler(data.median, "median", palette)];
    if (Math.log10(data.p99 / Math.max(data.median, 1)) > 0.12 * Math.log10(edges[edges.length - 1] / edges[0])) {
      lines.push(ruler(data.p99, "p99", palette));
    }
    if (data.budget && data.budget >= edges[0] && !far) {
      lines.push(ruler(data.budget, "budget", palette, { color: palette.mark, type: "dashed" }));
    }
    const low = edges[0];
    const high = Math.max(edges[edges.length - 1], data.budget && !far ? data.budget * 1.3 : 0, low * 10);
    const common = dirql.common(palette);
    return {
      ...common,
      grid: { left: 46, right: 16, top: 32, bottom: 24 },
      tooltip: {
        ...common.tooltip,
        formatter: ({ value }) => dirql.element("div", {}, `${dirql.count(value[2])} of ${dirql.duration(value[0])} to ${dirql.duration(value[1])}`),
      },
      xAxis: dirql.axis(palette, { type: "log", min: low, max: high, axisLabel: { color: palette.faint, fontSize: 10, formatter: power(dirql.duration), hideOverlap: true }, splitLine: { show: false } }),
      yAxis: dirql.axis(palette, { type: "log", min: 0.8, max: Math.max(top * 1.3, 10), axisLabel: { color: palette.faint, fontSize: 10, formatter: power(dirql.count) } }),
      series: [
        {
          type: "custom",
          encode: { x: [0, 1], y: 2, tooltip: [0, 1, 2] },
          data: bars,
          renderItem(params, api) {
            const [x, y] = api.coord([api.value(0), api.value(2)]);
            const right = api.coord([api.value(1), 1])[0];
            const bottom = params.coordSys.y + params.coordSys.height;
            const over = data.budget && api.value(0) >= data.budget * 0.999;
            return {
              type: "rect",
              shape: { x: x + 0.5, y, width: Math.max(right - x - 1, 1.5), height: bottom - y },
              style: { fill: over ? palette.mark : palette.accent },
            };
          },
          markLine: { symbol: "none", silent: true, animation: false, data: lines },
        },
      ],
    };
  }

  dirql.startCharts = function () {
    const bars = dirql.byId("irql-chart");
    if (bars) {
      bars.style.height = `${dirql.facts.residency.length * 34 + 64}px`;
      dirql.chart(bars, residency);
    }
    for (const element of document.querySelectorAll("[data-histogram]")) {
      const data = dirql.facts.histograms[Number(element.dataset.histogram)];
      dirql.chart(element, (palette) => histogram(palette, data));
    }
  };
})();
