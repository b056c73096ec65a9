// SPDX-License-Identifier: Apache-2.0
// The violations, one at a time: a click on one shows its sources and moves the timeline to its records.
"use strict";

(function () {
  const NEAR = 8000; // ns shown before and after a record
  let chosen = 0;
  const articles = () => [...document.querySelectorAll("article.violation")];

  /** Move the timeline to the records of a violation. */
  dirql.centre = function (number) {
    const { state } = dirql;
    const violation = dirql.facts.violations.find((each) => each.number === number);
    if (!state || !violation || !violation.places.length) {
      return;
    }
    const times = violation.places.map((place) => state.model.time[place]);
    const [first, last] = [Math.min(...times), Math.max(...times)];
    const room = last > first ? Math.max((last - first) * 0.6, 1500) : NEAR;
    dirql.show(state, first - room, last + room);
  };

  /** Show one violation and hide the others. */
  dirql.choose = function (number) {
    chosen = number;
    for (const article of articles()) {
      article.hidden = Number(article.dataset.violation) !== number;
    }
    const choice = dirql.byId("violation-choice");
    if (choice) {
      choice.value = String(number);
    }
    if (dirql.state) {
      dirql.state.chosen = number;
      dirql.centre(number);
      dirql.state.chart.setOption({}); // the marks again, also where the range stayed
    }
  };

  function fromHash() {
    const found = /^#violation-(\d+)$/.exec(location.hash);
    return found ? Number(found[1]) : 0;
  }

  dirql.startViolations = function () {
    const all = articles();
    if (!all.length) {
      return;
    }
    const numbers = all.map((article) => Number(article.dataset.violation));
    const choice = dirql.byId("violation-choice");
    document.querySelector(".stepper")?.removeAttribute("hidden");
    dirql.choose(numbers.includes(fromHash()) ? fromHash() : numbers[0]);
    for (const link of document.querySelectorAll("a[data-violation]")) {
      link.addEventListener("click", () => dirql.choose(Number(link.dataset.violation)));
    }
    window.addEventListener("hashchange", () => {
      if (numbers.includes(fromHash())) {
        dirql.choose(fromHash());
        dirql.byId(`violation-${fromHash()}`).scrollIntoView();
      }
    });
    if (choice) {
      const go = (by) => {
        const at = numbers.indexOf(Number(choice.value)) + by;
        dirql.choose(numbers[Math.min(Math.max(at, 0), numbers.length - 1)]);
      };
      choice.addEventListener("change", () => go(0));
      dirql.byId("violation-before").addEventListener("click", () => go(-1));
      dirql.byId("violation-after").addEventListener("click", () => go(1));
    }
    for (const button of document.querySelectorAll("button[data-place]")) {
      const place = Number(button.dataset.place);
      if (place < 0) {
        button.disabled = true;
        button.title = "Not among the records of the timeline";
      } else {
        button.addEventListener("click", () => {
          dirql.byId("timeline").scrollIntoView({ block: "nearest" });
          const time = dirql.state.model.time[place];
          dirql.show(dirql.state, time - NEAR, time + NEAR);
          dirql.point(dirql.state, place);
        });
      }
    }
    window.addEventListener("beforeprint", () => all.forEach((article) => (article.hidden = false)));
    window.addEventListener("afterprint", () => dirql.choose(chosen));
  };

  /** Show in the timeline, which is ready now, what was chosen before. */
  dirql.chooseAgain = () => chosen && dirql.choose(chosen);
})();
