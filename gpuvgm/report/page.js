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
// Sections of wide tables are compressed together; each is written out when it is opened.
const packed = document.querySelector("template.packed");
if (packed) {
  const columns = [...document.querySelectorAll("details.column")];
  let bodies;
  const unpack = async () => {
    const bytes = Uint8Array.from(atob(packed.innerHTML), (letter) => letter.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return (await new Response(plain).text()).split("\0");
  };
  document.addEventListener("toggle", async ({target}) => {
    if (!target.open || target.children.length > 1) return;
    bodies ??= unpack();
    const body = (await bodies)[columns.indexOf(target)];
    if (target.children.length === 1) target.insertAdjacentHTML("beforeend", body);
  }, true);
}
// A box to filter columns by their names, and buttons to fold all of them.
for (const table of document.querySelectorAll("table.overview")) {
  const columns = [...document.querySelectorAll("details.column")];
  const parts = [...table.tBodies[0].rows].map((row) => {
    const link = row.cells[0].querySelector("a");
    return [row.cells[0].dataset.v.toLowerCase(), row, document.getElementById(link.hash.slice(1))];
  });
  const tools = document.createElement("p"), box = document.createElement("input");
  tools.className = "tools";
  Object.assign(box, {type: "search", placeholder: "filter columns", ariaLabel: "filter columns"});
  box.addEventListener("input", () => {
    const word = box.value.toLowerCase();
    for (const [name, row, column] of parts) row.hidden = column.hidden = !name.includes(word);
  });
  tools.append(box, ...[["fold all", false], ["unfold all", true]].map(([text, open]) => {
    const button = document.createElement("button");
    Object.assign(button, {type: "button", textContent: text});
    button.addEventListener("click", () => {
      for (const column of columns) if (!column.hidden) column.open = open;
    });
    return button;
  }));
  table.closest(".scroll").before(tools);
}
// A link to a column that is folded opens it.
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
});
