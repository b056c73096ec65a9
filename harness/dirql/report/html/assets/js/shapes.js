// SPDX-License-Identifier: Apache-2.0
// Shapes of the chart library that draw many rectangles or lines at once: a thousand cost little more than one.
"use strict";

(function () {
  function define(name, build) {
    const shape = echarts.graphic.extendShape({
      shape: { data: [], box: null },
      buildPath(path, { data }) {
        build(path, data);
      },
      // Known without measuring: the lane that it is drawn in.
      getBoundingRect() {
        const box = this.shape.box;
        return new echarts.graphic.BoundingRect(box.x, box.y, box.width, box.height);
      },
      // What is under the pointer is found in the columns, see hover.js.
      contain: () => false,
    });
    echarts.graphic.registerShape(name, shape);
  }

  // x, y, width, height of each
  define("dirqlRects", (path, data) => {
    for (let i = 0; i + 3 < data.length; i += 4) {
      path.rect(data[i], data[i + 1], data[i + 2], data[i + 3]);
    }
  });

  // the corners of one polygon
  define("dirqlArea", (path, data) => {
    for (let i = 0; i + 1 < data.length; i += 2) {
      if (i) {
        path.lineTo(data[i], data[i + 1]);
      } else {
        path.moveTo(data[i], data[i + 1]);
      }
    }
    path.closePath();
  });

  // both ends of each
  define("dirqlLines", (path, data) => {
    for (let i = 0; i + 3 < data.length; i += 4) {
      path.moveTo(data[i], data[i + 1]);
      path.lineTo(data[i + 2], data[i + 3]);
    }
  });

  // both ends of each, with a head at the second
  define("dirqlArrows", (path, data) => {
    for (let i = 0; i + 3 < data.length; i += 4) {
      const [x, y, u, v] = [data[i], data[i + 1], data[i + 2], data[i + 3]];
      const length = Math.hypot(u - x, v - y) || 1;
      const [dx, dy] = [(5 * (u - x)) / length, (5 * (v - y)) / length];
      path.moveTo(x, y);
      path.lineTo(u, v);
      path.moveTo(u - dx - dy * 0.6, v - dy + dx * 0.6);
      path.lineTo(u, v);
      path.lineTo(u - dx + dy * 0.6, v - dy - dx * 0.6);
    }
  });
})();
