// SPDX-License-Identifier: Apache-2.0
// The lanes of the timeline, one for each CPU. Near: bars of what it ran, as high as its IRQL, and the locks below. Far:
// how each pixel's time is shared among them.
"use strict";

(function () {
  const NEAR = 1; // records in a pixel
  const FAR = 2; // pixels of a column, far
  const LOCKS = 11; // height of the strip below a lane
  const ARROWS = 120; // DPCs' ways at most
  const ROOM = 90; // pixels on the left that hold the names of the levels too
  const TICKS = 400; // records with a tick of their own at most
  // Far, from the bottom up: what is most urgent first. 14: spinning. Rest is the lane's background.
  const STACK = [7, 9, 5, 6, 4, 3, 2, 14, 10, 8, 13, 12, 11, 1];

  /** Where the lanes are: of the whole grid, CPU 0 on top. */
  dirql.laneBox = function (grid, cpu, cpus) {
    const height = grid.height / cpus;
    const top = grid.y + cpu * height;
    const ran = { x: grid.x, y: top + 14, width: grid.width, height: height - LOCKS - 22 };
    const locks = { x: grid.x, y: top + height - LOCKS - 5, width: grid.width, height: LOCKS };
    return { ran, locks, top, height };
  };

  let stripes = null;

  /** A pattern of slanted lines: spinning differs in form too. */
  function striped(palette) {
    if (!stripes || stripes.dark !== palette.dark) {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [8, 8];
      const context = canvas.getContext("2d");
      context.strokeStyle = palette.ink;
      context.lineWidth = 1.4;
      for (const offset of [-8, 0, 8]) {
        context.moveTo(offset, 8);
        context.lineTo(offset + 8, 0);
      }
      context.stroke();
      stripes = { dark: palette.dark, fill: { image: canvas, repeat: "repeat" } };
    }
    return stripes.fill;
  }

  const part = (type, data, box, style, more) => ({ type, shape: { data, box }, style, silent: true, ...more });

  function near(state, cpu, range, boxes, x, palette) {
    const { model } = state;
    const children = [];
    const { bars, outline, wide } = dirql.bars(model, cpu, range, x, boxes.ran);
    for (const [kind, data] of bars) {
      if (kind === model.spin) {
        children.push(part("dirqlRects", data, boxes.ran, { fill: palette.raised }));
        children.push(part("dirqlRects", data, boxes.ran, { fill: striped(palette) }));
      } else if (kind < model.spin) {
        children.push(part("dirqlRects", data, boxes.ran, { fill: palette.kinds[kind] }));
      }
    }
    children.push(part("dirqlLines", outline, boxes.ran, { stroke: palette.ink, fill: null, lineWidth: 0.8, opacity: 0.75 }));
    const locks = dirql.lockBars(model, cpu, range, x, boxes.locks);
    lockParts(children, locks.held, locks.waited, boxes.locks, palette);
    for (const each of wide) {
      const spins = each.kind === model.spin;
      children.push(label({ ...each, striped: spins }, spins ? "spins" : dirql.sliceName(model, each.owner), palette));
    }
    for (const each of locks.wide) {
      const striped = model.lock.kind[each.lock] % 2 === 1;
      children.push(label({ ...each, small: true, striped }, dirql.lockName(model, each.lock), palette));
    }
    if (range[1] - range[0] <= TICKS) {
      const ticks = [];
      const bottom = boxes.ran.y + boxes.ran.height;
      for (let i = range[0]; i < range[1]; i++) {
        const at = x(model.time[i]);
        if (at >= boxes.ran.x && at <= boxes.ran.x + boxes.ran.width) {
          ticks.push(at, bottom, at, bottom + 4);
        }
      }
      children.push(part("dirqlLines", ticks, boxes.ran, { stroke: palette.ink, fill: null, lineWidth: 1 }));
    }
    return children;
  }

  function lockParts(children, held, waited, box, palette) {
    if (held.length) {
      children.push(part("dirqlRects", held, box, { fill: palette.accent, opacity: 0.75, stroke: palette.paper, lineWidth: 0.5 }));
    }
    if (waited.length) {
      children.push(part("dirqlRects", waited, box, { fill: palette.raised, stroke: palette.ink, lineWidth: 0.6 }));
      children.push(part("dirqlRects", waited, box, { fill: striped(palette) }));
    }
  }

  const PALE = [0, 1, 2, 3, 4, 5, 8, 10]; // kinds that dark text is read on, in the light
  const DARK = [0, 1, 2]; // kinds that light text is read on, in the dark

  function textColour(where, palette) {
    if (where.striped) {
      return palette.ink;
    }
    if (where.kind === undefined) {
      return palette.dark ? "#10151b" : "#ffffff";
    }
    return (palette.dark ? !DARK.includes(where.kind) : PALE.includes(where.kind)) ? "#141c25" : "#ffffff";
  }

  function label(where, text, palette) {
    return {
      type: "text",
      silent: true,
      style: {
        text,
        x: where.x + 4,
        y: where.y + (where.small ? where.height / 2 : Math.min(where.height / 2, 9)),
        width: where.width - 8,
        overflow: "truncate",
        ellipsis: "…",
        fontSize: where.small ? 10 : 11,
        verticalAlign: "middle",
        fill: textColour(where, palette),
        ...(where.striped ? { backgroundColor: palette.raised, padding: [1, 3], borderRadius: 2 } : {}),
      },
    };
  }

  /** Stack shares of pixels upon each other: a polygon each, the topmost first, so that those below cover it. */
  function far(state, cpu, boxes, view, palette) {
    const { model } = state;
    const box = boxes.ran;
    const pixels = Math.max(Math.floor(box.width / FAR), 1);
    const shares = dirql.shares(model, state.sums, cpu, view.begin, view.end, pixels);
    const height = new Float64Array(pixels);
    const areas = [];
    for (const kind of STACK) {
      if (shares[kind]) {
        areas.push({ kind, data: stacked(shares[kind], height, box, pixels) });
      }
    }
    const children = [];
    for (const { kind, data } of areas.reverse()) {
      const fill = kind === model.spin ? palette.raised : palette.kinds[kind];
      children.push(part("dirqlArea", data, box, { fill }));
      if (kind === model.spin) {
        children.push(part("dirqlArea", data, box, { fill: striped(palette) }));
      }
    }
    const [held, waited] = [shares[model.spin + 2], shares[model.spin + 3]];
    const level = new Float64Array(pixels);
    const strip = boxes.locks;
    const heldArea = held && part("dirqlArea", stacked(held, level, strip, pixels), strip, { fill: palette.accent });
    if (waited) {
      children.push(part("dirqlArea", stacked(waited, level, strip, pixels), strip, { fill: palette.ink, opacity: 0.6 }));
    }
    if (heldArea) {
      children.push(heldArea);
    }
    return children;
  }

  function stacked(share, height, box, pixels) {
    const bottom = box.y + box.height;
    const data = [box.x, bottom];
    const width = box.width / pixels;
    for (let pixel = 0; pixel < pixels; pixel++) {
      height[pixel] = Math.min(height[pixel] + share[pixel], 1);
      const y = bottom - height[pixel] * box.height;
      data.push(box.x + pixel * width, y, box.x + (pixel + 1) * width, y);
    }
    data.push(box.x + box.width, bottom);
    return data;
  }

  function background(boxes, palette, isNear) {
    const box = boxes.ran;
    const bottom = box.y + box.height;
    const fill = { fill: palette.kinds[0], opacity: palette.dark ? 0.55 : 0.45 };
    const children = [part("dirqlRects", [box.x, box.y, box.width, box.height], box, fill)];
    if (isNear) {
      const lines = [2, 13].flatMap((level) => {
        const y = bottom - dirql.heightOf(level) * box.height;
        return [box.x, y, box.x + box.width, y];
      });
      children.push(part("dirqlLines", lines, box, { stroke: palette.line, fill: null, lineWidth: 1, lineDash: [2, 3] }));
      for (const [level, text] of [[2, "DISPATCH"], [8, "devices"], [13, "CLOCK"]]) {
        const y = bottom - dirql.heightOf(level) * box.height;
        const style = { text, x: box.x - 5, y: y + 1, align: "right", verticalAlign: "middle", fontSize: 8, fill: palette.faint };
        if (box.x > ROOM) {
          children.push({ type: "text", silent: true, style });
        }
      }
    }
    return children;
  }

  /** Draw one CPU's lane. */
  dirql.drawLane = function (state, cpu, grid, view) {
    const palette = state.palette;
    const boxes = dirql.laneBox(grid, cpu, state.model.cpus);
    const x = (time) => grid.x + ((time - view.begin) / (view.end - view.begin)) * grid.width;
    const range = dirql.inView(state.model, cpu, view.begin, view.end);
    const isNear = range[1] - range[0] <= NEAR * grid.width;
    state.near[cpu] = isNear;
    const drawn = isNear ? near(state, cpu, range, boxes, x, palette) : far(state, cpu, boxes, view, palette);
    return { type: "group", children: [...background(boxes, palette, isNear), ...drawn] };
  };

  /** Draw the ways of DPCs from where they were queued to where they ran, if they are few. */
  dirql.drawWays = function (state, grid, view) {
    const { model } = state;
    const { way } = model;
    const first = dirql.above(way.begin, view.begin, 0, way.begin.length);
    const last = dirql.above(way.begin, view.end, first, way.begin.length);
    const few = last - first <= ARROWS;
    const x = (time) => grid.x + ((time - view.begin) / (view.end - view.begin)) * grid.width;
    const data = [];
    for (let i = first; few && i < last; i++) {
      const [from, to] = [way.from[i], way.to[i]];
      if (!state.near[model.cpuOf(from)] || !state.near[model.cpuOf(to)]) {
        continue;
      }
      const end = x(model.time[to]);
      if (end <= grid.x + grid.width && end - x(model.time[from]) > 7) {
        const [one, other] = [from, to].map((place) => dirql.laneBox(grid, model.cpuOf(place), model.cpus).ran);
        data.push(x(model.time[from]), one.y + one.height * 0.62, end, other.y + other.height * 0.62);
      }
    }
    const style = { stroke: state.palette.ink, fill: null, lineWidth: 1.1, opacity: 0.85 };
    // Also where there are none: of an empty group the library would keep what was there before.
    return { type: "group", children: [part("dirqlArrows", data, grid, style)] };
  };
})();
