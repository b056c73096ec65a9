// SPDX-License-Identifier: Apache-2.0
// The page begins: what is in it already at once, the timeline when its columns are unpacked.
"use strict";

(async function () {
  dirql.startTheme();
  dirql.startTables();
  dirql.startViolations();
  dirql.startCharts();
  dirql.startFlows();
  dirql.startLocks();
  const state = await dirql.startTimeline();
  if (state) {
    dirql.state = state;
    dirql.startMoves(state);
    dirql.chooseAgain();
  }
  document.documentElement.dataset.ready = "true";
})();
