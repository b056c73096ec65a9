// SPDX-License-Identifier: Apache-2.0
// The timeline's chart: lanes, ways and marks as custom series of the library, its own zoom, axis and tooltip.
"use strict";

(function () {
  const [LEFT, NARROW] = [112, 52];
  const RIGHT = 14;
  const OVERVIEW = 300; // points of the curve behind the slider
  const LEAST = 40; // ns in view at least

  function density(model) {
    const step = Math.max(model.last - model.first, 1) / OVERVIEW;
    const counts = new Float64Array(OVERVIEW + 1);
    for (let cpu = 0; cpu < model.cpus; cpu++) {
      let before = model.starts[cpu];
      for (let i = 0; i <= OVERVIEW; i++) {
        const now = dirql.above(model.time, model.first + (i + 1) * step, before, model.starts[cpu + 1]);
        counts[i] += now - before;
        before = now;
      }
    }
    return Array.from(counts, (count, i) => [model.first + (i + 0.5) * step, count]);
  }

  const leftOf = (element) => (element.clientWidth < 700 ? NARROW : LEFT);
  const laneHeight = (cpus) => (cpus <= 4 ? 84 : cpus <= 8 ? 70 : 56);

  function series(state, name, z, data, draw) {
    const renderItem = (params, api) => {
      const grid = params.coordSys;
      return draw(api.value(1), grid, viewOf(api, grid));
    };
    return { type: "custom", name, renderItem, data, z, silent: true, clip: false, encode: { x: 0, y: 1 }, tooltip: { show: false } };
  }

  function viewOf(api, grid) {
    // Where two instants are tells which are at the edges.
    const [one, other] = [api.coord([0, 0])[0], api.coord([1e6, 0])[0]];
    const perPixel = 1e6 / (other - one);
    return { begin: (grid.x - one) * perPixel, end: (grid.x + grid.width - one) * perPixel };
  }

  function option(state, palette) {
    const { model } = state;
    state.palette = palette;
    const label = (ns) => (ns < 0 ? "" : dirql.instant(ns, (state.view.end - state.view.begin) / 8));
    const cpus = Array.from({ length: model.cpus }, (_, cpu) => cpu);
    const items = cpus.map((cpu) => [model.first, cpu]);
    const whole = [[model.first, 0]];
    const left = leftOf(state.element);
    const common = dirql.common(palette);
    return {
      ...common,
      tooltip: { ...common.tooltip, trigger: "none", showContent: true, transitionDuration: 0, enterable: false },
      grid: { left, right: RIGHT, top: 4, bottom: 66 },
      xAxis: dirql.axis(palette, {
        type: "value",
        min: model.begin,
        max: model.end,
        splitNumber: 6,
        axisLabel: { color: palette.faint, fontSize: 11, formatter: label, hideOverlap: true, showMinLabel: false, showMaxLabel: false },
        axisPointer: { show: false },
      }),
      yAxis: [
        dirql.axis(palette, {
          type: "category",
          inverse: true,
          data: cpus.map((cpu) => `CPU ${cpu}`),
          axisLine: { onZero: false, lineStyle: { color: palette.line } },
          axisTick: { show: false },
          axisLabel: { color: palette.ink, fontSize: 12, fontWeight: 600, margin: left - NARROW + 8 },
        }),
        { type: "value", show: false },
      ],
      dataZoom: [
        { type: "inside", filterMode: "none", minValueSpan: LEAST, startValue: state.view.begin, endValue: state.view.end, throttle: 0 },
        {
          type: "slider",
          filterMode: "none",
          minValueSpan: LEAST,
          startValue: state.view.begin,
          endValue: state.view.end,
          bottom: 6,
          height: 26,
          throttle: 0,
          borderColor: palette.line,
          textStyle: { color: palette.faint, fontSize: 10 },
          labelFormatter: label,
          brushSelect: false,
          dataBackground: { lineStyle: { color: palette.faint, opacity: 0.5 }, areaStyle: { color: palette.faint, opacity: 0.2 } },
          selectedDataBackground: { lineStyle: { color: palette.accent }, areaStyle: { color: palette.accent, opacity: 0.4 } },
          fillerColor: palette.dark ? "rgba(120,170,210,0.18)" : "rgba(30,100,150,0.12)",
          handleStyle: { color: palette.raised, borderColor: palette.faint },
          moveHandleStyle: { color: palette.faint, opacity: 0.35 },
        },
      ],
      series: [
        // The curve behind the slider; in the grid itself it is not seen.
        { type: "line", yAxisIndex: 1, data: state.density, symbol: "none", lineStyle: { opacity: 0 }, silent: true, tooltip: { show: false } },
        series(state, "lanes", 2, items, (cpu, grid, view) => dirql.drawLane(state, cpu, grid, view)),
        series(state, "ways", 3, whole, (_, grid, view) => dirql.drawWays(state, grid, view)),
        series(state, "marks", 4, whole, (_, grid, view) => dirql.drawMarks(state, grid, view)),
      ],
    };
  }

  /** Make the timeline; returns what moves it. */
  dirql.startTimeline = async function () {
    const element = dirql.byId("timeline-chart");
    if (!element) {
      return null;
    }
    const model = await dirql.loadTimeline();
    const { window, ticksPerNs } = dirql.facts.timeline;
    const view = { begin: window[0] / ticksPerNs, end: window[1] / ticksPerNs };
    const state = { element, model, view, chosen: 0, near: [], sums: dirql.sums(model), density: density(model), palette: null };
    clampView(state);
    element.style.height = `${model.cpus * laneHeight(model.cpus) + 70}px`;
    state.chart = dirql.chart(element, (palette) => option(state, palette));
    state.grid = () => {
      const [x, right] = [leftOf(element), element.clientWidth - RIGHT];
      return { x, y: 4, width: Math.max(right - x, 1), height: element.clientHeight - 70 };
    };
    state.chart.on("datazoom", () => {
      if (!state.moving) {
        const grid = state.grid();
        const read = (px) => state.chart.convertFromPixel({ xAxisIndex: 0 }, px);
        state.view = { begin: read(grid.x), end: read(grid.x + grid.width) };
      }
      state.onView?.();
    });
    watchPointer(state, element);
    return state;
  };

  function clampView(state) {
    const { model, view } = state;
    view.begin = Math.min(Math.max(view.begin, model.begin), model.last);
    view.end = Math.min(Math.max(view.end, view.begin + LEAST), model.end);
  }

  /** Show a range, in ns since the trace began. */
  dirql.show = function (state, begin, end) {
    const { model } = state;
    const length = Math.min(Math.max(end - begin, LEAST), model.end - model.begin);
    const from = Math.min(Math.max((begin + end - length) / 2, model.begin), model.end - length);
    state.view = { begin: from, end: from + length };
    const range = { startValue: from, endValue: from + length };
    state.moving = true; // what was asked for counts: the library rounds it to pixels, and steps would add that up
    state.chart.dispatchAction({ type: "dataZoom", batch: [{ dataZoomIndex: 0, ...range }] });
    state.moving = false;
  };

  function watchPointer(state, element) {
    const renderer = state.chart.getZr();
    let shown = -2;
    renderer.on("mousemove", (event) => {
      const hit = dirql.hit(state, state.grid(), state.view, event.offsetX, event.offsetY);
      if (!hit) {
        hide();
        return;
      }
      shown = hit.place;
      state.pointed = hit.place;
      state.chart.dispatchAction({
        type: "showTip",
        x: event.offsetX,
        y: event.offsetY,
        tooltip: { formatter: () => dirql.tooltip(state.model, hit), show: true },
      });
    });
    renderer.on("globalout", hide);
    element.addEventListener("pointerleave", hide);

    function hide() {
      if (shown !== -1) {
        shown = -1;
        state.chart.dispatchAction({ type: "hideTip" });
      }
    }
  }
})();
