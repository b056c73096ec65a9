// SPDX-License-Identifier: Apache-2.0
// Tables that sort by a click on a heading, and the clauses by their status.
"use strict";

(function () {
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(text.replaceAll(",", ""));
    return text !== "" && Number.isFinite(number) ? number : text === "–" ? -1 : text;
  };

  function compare(one, other) {
    if (typeof one === "number" && typeof other === "number") {
      return one - other;
    }
    return String(one).localeCompare(String(other), "en", { numeric: true });
  }

  function sortable(table) {
    for (const [column, heading] of [...table.tHead.rows[0].cells].entries()) {
      const button = dirql.element("button", { type: "button", title: "Sort" }, ...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const descends = heading.ariaSort === "ascending" || (heading.ariaSort === null && heading.classList.contains("number"));
        for (const other of table.tHead.rows[0].cells) {
          other.ariaSort = null;
        }
        heading.ariaSort = descends ? "descending" : "ascending";
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => (descends ? -1 : 1) * compare(value(a, column), value(b, column)));
        table.tBodies[0].append(...rows);
      });
    }
  }

  dirql.startTables = function () {
    document.querySelectorAll("table.sortable").forEach(sortable);
    const boxes = document.querySelectorAll("input[data-status]");
    for (const box of boxes) {
      box.addEventListener("change", () => {
        for (const row of document.querySelectorAll(`#clause-table tr[data-status="${box.dataset.status}"]`)) {
          row.hidden = !box.checked;
        }
      });
    }
  };
})();
