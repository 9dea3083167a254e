"use strict";
// Search and sort of the tables of points. The page says all it says without this, too.
for (const table of document.querySelectorAll("table.points")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const value = (row, column) => {
    const cell = row.cells[column];
    return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent.trim().toLowerCase();
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const text = typeof value(rows[0], column) === "string";
      const turn = head.getAttribute("aria-sort") === (text ? "ascending" : "descending");
      const sign = text !== turn ? 1 : -1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      rows.sort((a, b) => {
        const x = value(a, column), y = value(b, column);
        return x < y ? -sign : x > y ? sign : 0;
      });
      body.append(...rows);
    });
  });
  if (rows.length < 10) continue;
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Search points: name, description, state";
  search.setAttribute("aria-label", "Search points");
  const told = document.createElement("span");
  told.className = "soft";
  told.setAttribute("role", "status");
  const bar = document.createElement("div");
  bar.className = "search";
  bar.append(search, told);
  table.parentElement.before(bar);
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) shown += 1;
    }
    told.textContent = words.length ? shown + " of " + rows.length : "";
  });
}
