// SPDX-License-Identifier: Apache-2.0
// The level of detail: from the columns to what a lane of so many pixels can show, whatever the number of records.
"use strict";

(function () {
  const BLOCK = 64;
  // Height of a bar by its IRQL, of the lane's 1.
  const HEIGHTS = [0.24, 0.32, 0.44, 0.56, 0.585, 0.61, 0.635, 0.66, 0.685, 0.71, 0.735, 0.76, 0.785, 0.87, 0.93, 1];

  /**
   * For each CPU: time spent in each kind from its first record to every 64th. After the kinds come: spinning, nothing
   * known, with a lock held, waiting for one.
   */
  dirql.sums = function (model) {
    const kinds = model.spin + 4;
    const sums = [];
    for (let cpu = 0; cpu < model.cpus; cpu++) {
      const [first, last] = [model.starts[cpu], model.starts[cpu + 1]];
      const blocks = Math.ceil((last - first) / BLOCK) + 1;
      const sum = new Float64Array(blocks * kinds);
      const now = new Float64Array(kinds);
      for (let i = first; i < last; i++) {
        if ((i - first) % BLOCK === 0) {
          sum.set(now, ((i - first) / BLOCK) * kinds);
        }
        add(model, now, i, (i + 1 < last ? model.time[i + 1] : model.last) - model.time[i]);
      }
      sums.push(sum);
    }
    return { kinds, sums };
  };

  function add(model, out, place, spent) {
    const locked = model.locked[place];
    out[model.kind[place]] += spent;
    if (locked & 1) {
      out[model.spin + 2] += spent;
    }
    if (locked & 2) {
      out[model.spin + 3] += spent;
    }
  }

  /** Add up into `out` the time that a CPU spent in each kind from its first record to the time `until`. */
  function spentUntil(model, sums, cpu, until, out) {
    const [first, last] = [model.starts[cpu], model.starts[cpu + 1]];
    const found = dirql.above(model.time, until, first, last) - 1;
    out.fill(0);
    if (found < first) {
      return;
    }
    const block = Math.floor((found - first) / BLOCK);
    const { kinds } = sums;
    for (let kind = 0; kind < kinds; kind++) {
      out[kind] = sums.sums[cpu][block * kinds + kind];
    }
    for (let i = first + block * BLOCK; i < found; i++) {
      add(model, out, i, model.time[i + 1] - model.time[i]);
    }
    // What a CPU is in with its last record goes on to the end of the trace.
    add(model, out, found, Math.min(until, model.last) - model.time[found]);
  }

  /**
   * Return how a CPU's time in a range is shared among the kinds, pixel by pixel.
   * @returns {Float64Array[]} by kind, its share of every pixel; null for kinds that do not occur
   */
  dirql.shares = function (model, sums, cpu, begin, end, pixels) {
    let before = new Float64Array(sums.kinds);
    let after = new Float64Array(sums.kinds);
    const shares = new Array(sums.kinds).fill(null);
    spentUntil(model, sums, cpu, begin, before);
    const step = (end - begin) / pixels;
    for (let pixel = 0; pixel < pixels; pixel++) {
      spentUntil(model, sums, cpu, begin + (pixel + 1) * step, after);
      for (let kind = 0; kind < sums.kinds; kind++) {
        const spent = after[kind] - before[kind];
        if (spent > step * 1e-6) {
          shares[kind] = shares[kind] || new Float64Array(pixels);
          shares[kind][pixel] = spent / step;
        }
      }
      [before, after] = [after, before];
    }
    return shares;
  };

  /** Return the places of a CPU's records in a range, with the one before: [first, after the last]. */
  dirql.inView = function (model, cpu, begin, end) {
    const [first, last] = [model.starts[cpu], model.starts[cpu + 1]];
    const low = Math.max(dirql.above(model.time, begin, first, last) - 1, first);
    return [low, dirql.above(model.time, end, low, last)];
  };

  /**
   * Return the bars of a CPU in a range: what it ran after each record, as high as its IRQL.
   * @returns {{bars: Map<number, number[]>, outline: number[], wide: Array}} rectangles by kind, the line over them,
   *   and those that have room for a name
   */
  dirql.bars = function (model, cpu, [low, high], x, box) {
    const last = model.starts[cpu + 1] - 1;
    const bars = new Map();
    const outline = [];
    const wide = [];
    const bottom = box.y + box.height;
    let [left, top] = [null, null];
    for (let i = low; i < high; ) {
      const [kind, level, owner] = [model.kind[i], model.level[i], model.owner[i]];
      let next = i + 1;
      while (next < high && model.kind[next] === kind && model.level[next] === level && model.owner[next] === owner) {
        next += 1;
      }
      const from = Math.max(x(model.time[i]), box.x);
      const until = Math.min(x(next <= last ? model.time[next] : model.last), box.x + box.width);
      const height = HEIGHTS[Math.min(level, 15)] * box.height;
      if (until > from) {
        if (!bars.has(kind)) {
          bars.set(kind, []);
        }
        bars.get(kind).push(from, bottom - height, until - from, height);
        if (until - from > 64 && height > 10 && owner >= 0) {
          wide.push({ owner, x: from, y: bottom - height, width: until - from, height, kind });
        }
        if (top !== null && top !== bottom - height) {
          outline.push(left, top, left, bottom - height);
        }
        outline.push(from, bottom - height, until, bottom - height);
        [left, top] = [until, bottom - height];
      }
      i = next;
    }
    return { bars, outline, wide };
  };

  /** Return which lock intervals of a CPU touch a range of its places: [first, after the last]. */
  function locksTouching(model, cpu, [low, high]) {
    const { begin, latest } = model.lock;
    const first = dirql.above(begin, model.starts[cpu] - 1, 0, begin.length);
    const last = dirql.above(begin, high - 1, first, begin.length);
    return [dirql.above(latest, low - 1, first, last), last];
  }

  /** Return the lock intervals of a CPU in a range, one by one: rectangles of what is held and of what is waited for. */
  dirql.lockBars = function (model, cpu, range, x, box) {
    const [first, last] = locksTouching(model, cpu, range);
    const [held, waited, wide] = [[], [], []];
    for (let i = first; i < last; i++) {
      const from = Math.max(x(model.time[model.lock.begin[i]]), box.x);
      const until = Math.min(x(model.time[model.lock.end[i]]), box.x + box.width);
      if (until > from) {
        const waits = model.lock.kind[i] % 2;
        const inset = waits ? 0 : Math.min(model.lock.depth[i], 2) * 2;
        (waits ? waited : held).push(from, box.y + inset, Math.max(until - from, 1), box.height - inset);
        if (until - from > 90) {
          wide.push({ lock: i, x: from, y: box.y, width: until - from, height: box.height });
        }
      }
    }
    return { held, waited, wide };
  };

  /** Return the lock interval of a CPU that is the innermost at a time; -1 for none. */
  dirql.lockAt = function (model, cpu, place, time) {
    const [first, last] = locksTouching(model, cpu, [place, place + 1]);
    for (let i = last - 1; i >= first; i--) {
      if (model.time[model.lock.begin[i]] <= time && time < model.time[model.lock.end[i]]) {
        return i;
      }
    }
    return -1;
  };

  dirql.heightOf = (level) => HEIGHTS[Math.min(level, 15)];
})();
