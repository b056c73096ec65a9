// SPDX-License-Identifier: Apache-2.0
// The columns of the timeline: unpacked, summed up, turned into what can be searched.
"use strict";

(function () {
  const SPINS = 0x80;
  const OPEN = 0x80;

  async function unpack(id) {
    const letters = dirql.byId(`data-${id}`).textContent;
    const bytes = Uint8Array.fromBase64
      ? Uint8Array.fromBase64(letters)
      : Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Put the planes of a column's bytes together again. */
  function column(block, place) {
    const { type, offset, length, width } = place;
    if (width === 1) {
      return block.subarray(offset, offset + length);
    }
    const words = new Uint32Array(length);
    for (let plane = 0; plane < width; plane++) {
      const from = offset + plane * length;
      const shift = 8 * plane;
      for (let i = 0; i < length; i++) {
        words[i] |= block[from + i] << shift;
      }
    }
    return type === "Int32Array" ? new Int32Array(words.buffer) : words;
  }

  function summed(steps) {
    const sums = new Int32Array(steps.length);
    for (let i = 0, sum = 0; i < steps.length; i++) {
      sum += steps[i];
      sums[i] = sum;
    }
    return sums;
  }

  /** Return the times of the records, in ns since the trace began. */
  function times(columns, starts, ticksPerNs) {
    const { timeLow, timeHigh } = columns;
    const time = new Float64Array(timeLow.length);
    for (let cpu = 0; cpu + 1 < starts.length; cpu++) {
      for (let i = starts[cpu], ticks = 0; i < starts[cpu + 1]; i++) {
        ticks += timeHigh[i] * 4294967296 + timeLow[i];
        time[i] = ticks / ticksPerNs;
      }
    }
    return time;
  }

  function slices(columns) {
    const begin = summed(columns.sliceBegin);
    const count = begin.length;
    const end = new Int32Array(count);
    const parent = new Int32Array(count);
    const source = new Int32Array(count);
    const kind = new Uint8Array(count);
    const open = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      end[i] = begin[i] + columns.sliceLength[i];
      parent[i] = i - columns.sliceParent[i];
      source[i] = begin[i] + columns.sliceSource[i];
      kind[i] = columns.sliceKind[i] & ~OPEN;
      open[i] = columns.sliceKind[i] & OPEN;
    }
    return { begin, end, parent, source, kind, open };
  }

  /** Return what is drawn after each record: the kind of the innermost slice, or that the CPU spins. */
  function kinds(columns, owner, slice, spin) {
    const kind = new Uint8Array(owner.length);
    for (let i = 0; i < owner.length; i++) {
      kind[i] = columns.level[i] & SPINS ? spin : owner[i] < 0 ? spin + 1 : slice.kind[owner[i]];
    }
    return kind;
  }

  function locks(columns) {
    const begin = summed(columns.lockBegin);
    const count = begin.length;
    const end = new Int32Array(count);
    const latest = new Int32Array(count); // the latest end so far: what touches a range is found by it
    const depth = new Uint8Array(count); // how many of the same sort the CPU is in already
    const open = [[], []];
    for (let i = 0; i < count; i++) {
      end[i] = begin[i] + columns.lockLength[i];
      latest[i] = Math.max(i ? latest[i - 1] : 0, end[i]);
      const sort = columns.lockKind[i] % 2;
      open[sort] = open[sort].filter((until) => until > begin[i]);
      depth[i] = Math.min(open[sort].length, 255);
      open[sort].push(end[i]);
    }
    return { begin, end, kind: columns.lockKind, latest, depth };
  }

  /** Return for each record whether its CPU holds a lock from there on (1), and whether it waits for one (2). */
  function locked(lock, records) {
    const state = new Uint8Array(records);
    for (let i = 0; i < lock.begin.length; i++) {
      if (!lock.depth[i] || lock.end[i] === lock.latest[i]) {
        const bit = lock.kind[i] % 2 ? 2 : 1;
        for (let place = lock.begin[i]; place < lock.end[i]; place++) {
          state[place] |= bit;
        }
      }
    }
    return state;
  }

  function ways(columns, time) {
    const order = Array.from(columns.wayFrom.keys()).sort((a, b) => time[columns.wayFrom[a]] - time[columns.wayFrom[b]]);
    return {
      from: Uint32Array.from(order, (i) => columns.wayFrom[i]),
      to: Uint32Array.from(order, (i) => columns.wayTo[i]),
      begin: Float64Array.from(order, (i) => time[columns.wayFrom[i]]),
    };
  }

  /** Unpack all that the timeline is drawn from. */
  dirql.loadTimeline = async function () {
    const facts = dirql.facts.timeline;
    const [block, letters] = await Promise.all([unpack("columns"), unpack("texts")]);
    const columns = {};
    for (const [name, place] of Object.entries(facts.columns)) {
      columns[name] = column(block, place);
    }
    const time = times(columns, facts.starts, facts.ticksPerNs);
    const owner = summed(columns.owner);
    const slice = slices(columns);
    const lock = locks(columns);
    const spin = Object.keys(facts.kinds).length;
    let [first, last] = [Infinity, 0];
    for (let cpu = 0; cpu < facts.cpus; cpu++) {
      if (facts.starts[cpu + 1] > facts.starts[cpu]) {
        first = Math.min(first, time[facts.starts[cpu]]);
        last = Math.max(last, time[facts.starts[cpu + 1] - 1]);
      }
    }
    const margin = Math.max((last - first) * 0.01, 2000); // room at both ends
    return {
      cpus: facts.cpus,
      starts: facts.starts,
      first,
      last,
      begin: first - margin,
      end: last + margin,
      time,
      owner,
      slice,
      spin,
      kind: kinds(columns, owner, slice, spin),
      irql: columns.irql,
      level: columns.level.map((level) => level & ~SPINS),
      text: columns.text,
      texts: new TextDecoder().decode(letters).split("\n"),
      lock,
      locked: locked(lock, time.length),
      way: ways(columns, time),
      cpuOf: (place) => dirql.above(facts.starts, place, 0, facts.starts.length) - 1,
    };
  };
})();
