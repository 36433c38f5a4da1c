"use strict";
// Sorts the overview: a click on a heading sorts by its column, another one the other way round.
for (const table of document.querySelectorAll("table.overview")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, at) => row.cells[at].dataset.v;
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const text = at < 2;
      const now = head.getAttribute("aria-sort");
      const falling = text ? now === "ascending" : now !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].sort((one, other) => {
        const a = value(one, at), b = value(other, at);
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = text ? a.localeCompare(b) : a - b;
        return falling ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
// A link to a column that is folded opens it.
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
});
