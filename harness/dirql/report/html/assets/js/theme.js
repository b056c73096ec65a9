// SPDX-License-Identifier: Apache-2.0
// Light and dark: the choice, the colours that the charts take from it, and the charts that follow it.
"use strict";

(function () {
  const KEY = "dirql-report-theme";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = [];

  // By kind of slice (dirql.trace.slices.Kind), after those: spinning. Colours of Okabe and Ito, which people with
  // colour-blindness can tell apart; in the dark those of rest are dark.
  const LIGHT = ["#e4e6ea", "#a9d5f0", "#a6dccb", "#009e73", "#f3cf86", "#e69f00", "#cc79a7", "#0072b2", "#56b4e9", "#d55e00",
    "#e0cf2f", "#8ab8d6", "#5b8fb0", "#1b6ca8"];
  const DARK = ["#2a3038", "#3b6885", "#3f8371", "#00b383", "#a3823c", "#f0a90a", "#d98ab8", "#2f93d1", "#56b4e9", "#ee7420",
    "#e0cf2f", "#6f9fbf", "#5b8fb0", "#3c8fcd"];

  function isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen === "dark" || (chosen !== "light" && dark.matches);
  }

  /** Return the colours of now: CSS variables by name, and those of the kinds. */
  dirql.palette = function () {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    return {
      dark: isDark(),
      ink: read("ink"),
      faint: read("faint"),
      line: read("line"),
      paper: read("paper"),
      raised: read("raised"),
      mark: read("mark"),
      warn: read("warn"),
      good: read("good"),
      accent: read("accent"),
      kinds: isDark() ? DARK : LIGHT,
      levels: isDark()
        ? ["#2f4858", "#4b7b8c", "#00b383", "#f7d774", "#f0a90a", "#ee7420", "#c4401c", "#d98ab8", "#b07cc6", "#2f93d1"]
        : ["#d9e6ee", "#9cc7da", "#009e73", "#f6d877", "#e69f00", "#d55e00", "#9c3300", "#cc79a7", "#9467bd", "#0072b2"],
      ramp: isDark() ? ["#1f2a33", "#1f6f8f", "#6fd0f0"] : ["#f2f7fa", "#7fb9d6", "#0b5c8c"],
    };
  };

  /** Text and axes as all charts have them. */
  dirql.common = function (palette) {
    return {
      animation: false,
      textStyle: { fontFamily: "system-ui, 'Segoe UI', Roboto, Arial, sans-serif", color: palette.ink },
      tooltip: {
        confine: true,
        backgroundColor: palette.raised,
        borderColor: palette.line,
        textStyle: { color: palette.ink, fontSize: 12 },
        extraCssText: "max-width: min(34rem, 92vw); white-space: normal",
      },
    };
  };

  /** Axis in the colours of the page. */
  dirql.axis = (palette, more) => ({
    axisLine: { lineStyle: { color: palette.line } },
    axisTick: { lineStyle: { color: palette.line } },
    axisLabel: { color: palette.faint, fontSize: 11 },
    splitLine: { lineStyle: { color: palette.line, opacity: 0.55 } },
    nameTextStyle: { color: palette.faint },
    ...more,
  });

  /**
   * Make a chart that follows the theme and the width of its element.
   * @param {HTMLElement} element
   * @param {function(Object, Object): Object} option makes its option of the palette, and of the chart itself
   */
  dirql.chart = function (element, option) {
    const chart = echarts.init(element, null, { renderer: "canvas" });
    const entry = { chart, element, option };
    charts.push(entry);
    chart.setOption(option(dirql.palette(), chart));
    let width = element.clientWidth;
    new ResizeObserver(() => {
      chart.resize();
      if (element.clientWidth !== width) {
        width = element.clientWidth;
        chart.setOption(option(dirql.palette(), chart)); // what depends on the width
      }
      chart.getZr().flush(); // now: on paper there is no next frame
    }).observe(element);
    return chart;
  };

  dirql.repaint = function () {
    for (const { chart, option } of charts) {
      chart.setOption(option(dirql.palette(), chart), { notMerge: true });
    }
    dirql.paintLegend?.();
  };

  function apply(choice) {
    document.documentElement.dataset.theme = choice;
    dirql.repaint();
  }

  function remembered() {
    try {
      return localStorage.getItem(KEY) || "auto";
    } catch {
      return "auto"; // a file that may not store anything
    }
  }

  dirql.startTheme = function () {
    const select = dirql.byId("theme");
    select.value = remembered();
    document.documentElement.dataset.theme = select.value;
    select.addEventListener("change", () => {
      try {
        localStorage.setItem(KEY, select.value);
      } catch {
        // it holds for this visit alone
      }
      apply(select.value);
    });
    dark.addEventListener("change", dirql.repaint);
    let before = null;
    window.addEventListener("beforeprint", () => {
      before = document.documentElement.dataset.theme;
      apply("light"); // paper is white
    });
    window.addEventListener("afterprint", () => apply(before || "auto"));
  };
})();
