// SPDX-License-Identifier: Apache-2.0
// The lock that is chosen in the table: to whom it went next, and where it was taken.
"use strict";

(function () {
  let chosen = 0;
  let chart = null;

  function option(palette) {
    return dirql.matrix(palette, dirql.facts.locks[chosen].handoffs, "from", "to");
  }

  function callers() {
    const body = dirql.byId("caller-table").tBodies[0];
    const { element } = dirql;
    const number = (text) => element("td", { class: "number" }, text);
    const time = (ns) => number(ns === null ? "–" : dirql.duration(ns));
    body.replaceChildren(
      ...dirql.facts.locks[chosen].callers.map((caller) =>
        element("tr", {}, element("td", {}, element("code", {}, caller.site)), number(dirql.count(caller.taken)), number(dirql.count(caller.contended)), time(caller.median), time(caller.maximum)),
      ),
    );
  }

  function choose(lock) {
    chosen = lock;
    const { name, owners } = dirql.facts.locks[lock];
    const shares = owners.map((count, cpu) => `CPU ${cpu} ${dirql.count(count)}`).join(", ");
    dirql.byId("matrix-title").textContent = `Who had ${name} next (taken by ${shares})`;
    for (const row of document.querySelectorAll("#lock-table tbody tr")) {
      row.classList.toggle("chosen", Number(row.dataset.lock) === lock);
    }
    callers();
    chart?.setOption(option(dirql.palette()), { notMerge: true });
  }

  dirql.startLocks = function () {
    const element = dirql.byId("lock-chart");
    if (!element) {
      return;
    }
    element.style.height = `${Math.min(Math.max(dirql.facts.locks[0].owners.length * 34, 140) + 60, 460)}px`;
    choose(0);
    chart = dirql.chart(element, option);
    for (const button of document.querySelectorAll("button[data-lock]")) {
      button.addEventListener("click", () => choose(Number(button.dataset.lock)));
    }
  };
})();
