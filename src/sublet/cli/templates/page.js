"use strict";
(() => {
  const table = document.querySelector("#quotes");
  const chart = document.getElementById("chart");
  const tip = document.getElementById("tip");

  // sorting: the data-value of a cell, numbers as numbers; details follow their row
  if (table) {
    const body = table.tBodies[0];
    table.querySelectorAll("thead th button").forEach((button, column) => {
      button.addEventListener("click", () => {
        const heading = button.parentElement;
        const down = heading.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.querySelectorAll("tr.quote")];
        const value = (row) => {
          const text = row.cells[column].dataset.value ?? row.cells[column].textContent;
          return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
        };
        rows.sort((one, other) => {
          const [a, b] = [value(one), value(other)];
          if (a === "" || b === "") return (a === "") - (b === "");
          const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
          return down ? -order : order;
        });
        for (const row of rows) {
          const detail = row.nextElementSibling?.classList.contains("detail") ? row.nextElementSibling : null;
          body.append(row, ...(detail ? [detail] : []));
        }
      });
    });
    const toggle = (row) => {
      const detail = row.nextElementSibling;
      if (detail?.classList.contains("detail")) {
        detail.hidden = !detail.hidden;
        row.setAttribute("aria-expanded", String(!detail.hidden));
      }
    };
    const linked = document.getElementById(location.hash.slice(1));
    if (linked?.matches("tr.quote")) toggle(linked);
    body.addEventListener("click", (event) => {
      const row = event.target.closest("tr.quote");
      if (row) toggle(row);
    });
    body.addEventListener("keydown", (event) => {
      const row = event.target.closest("tr.quote");
      if (row && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        toggle(row);
      }
    });
  }
  if (!chart) return;

  // the chart: a tooltip with the interval of both axes, and the row it belongs to
  const whiskers = document.getElementById("whiskers");
  const space = "http://www.w3.org/2000/svg";
  const rowOf = (index) => document.getElementById(`row-${index}`);
  const line = (x1, x2, y1, y2) => {
    const found = document.createElementNS(space, "line");
    for (const [name, value] of Object.entries({ x1, x2, y1, y2 })) found.setAttribute(name, value);
    whiskers.append(found);
  };
  const leave = () => {
    tip.hidden = true;
    whiskers.replaceChildren();
    document.querySelectorAll(".on").forEach((one) => one.classList.remove("on"));
  };
  const show = (point) => {
    leave();
    const row = rowOf(point.dataset.row);
    point.classList.add("on");
    const [left, right] = point.dataset.x.split(" ");
    const [bottom, top] = point.dataset.y.split(" ");
    line(left, right, point.getAttribute("cy"), point.getAttribute("cy"));
    if (top) line(point.getAttribute("cx"), point.getAttribute("cx"), bottom, top);
    const [name, ...rest] = point.getAttribute("aria-label").split(": ");
    const heading = document.createElement("b");
    heading.textContent = name;
    tip.replaceChildren(heading, rest.join(": "));
    if (row) {
      row.classList.add("on");
      const why = document.createElement("div");
      why.textContent = row.querySelector(".why").textContent;
      tip.append(why);
    }
    tip.hidden = false;
    const frame = chart.closest(".chart").getBoundingClientRect();
    const at = point.getBoundingClientRect();
    const x = at.left - frame.left + at.width / 2;
    tip.style.left = `${Math.min(x + 14, frame.width - tip.offsetWidth - 4)}px`;
    tip.style.top = `${Math.max(at.top - frame.top - tip.offsetHeight - 12, 0)}px`;
    if (x + 14 > frame.width - tip.offsetWidth - 4) tip.style.left = `${Math.max(x - tip.offsetWidth - 14, 0)}px`;
  };
  chart.addEventListener("mouseover", (event) => {
    const point = event.target.closest(".point");
    if (point) show(point);
  });
  chart.addEventListener("mouseout", leave);
  chart.addEventListener("click", (event) => {
    const point = event.target.closest(".point");
    const row = point && rowOf(point.dataset.row);
    if (row) {
      row.scrollIntoView({ block: "center", behavior: "smooth" });
      row.classList.add("on");
    }
  });
  // the browser's own tooltip would stand beside ours
  chart.querySelectorAll(".point title").forEach((title) => {
    title.parentElement.setAttribute("aria-label", title.textContent);
    title.remove();
  });
  document.querySelectorAll(".legend button").forEach((button) => {
    button.addEventListener("click", () => {
      const alone = button.getAttribute("aria-pressed") !== "true";
      document.querySelectorAll(".legend button").forEach((other) => other.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(alone));
      chart.querySelectorAll(".point").forEach((point) => {
        point.classList.toggle("away", alone && point.dataset.accelerator !== button.dataset.accelerator);
      });
    });
  });
})();
