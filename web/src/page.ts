// The player: starts a page that carries its motions (reads its data, builds the rows), and is a library for the studio.
//
// The address may name a moment: `#t=0.5` stops every row half a second in, the same picture every time. data-fault on
// the root element holds the text of a failure.

import { pageData, readPageData } from "./data";
import { Row } from "./row";
import { Theatre, rememberedTheme } from "./theatre";

const root = document.documentElement;

function fail(error: unknown): void {
  const text = error instanceof Error ? error.message : String(error);
  root.dataset.fault = text;
  for (const screen of document.querySelectorAll(".screen")) {
    const note = document.createElement("p");
    note.className = "fault";
    note.textContent = /webgl/i.test(text) ? "This browser has no WebGL, which the 3-D view needs." : text;
    screen.replaceChildren(note);
  }
}

function moment(): number | null {
  const match = /(?:^#|&)t=([0-9]*\.?[0-9]+)/.exec(location.hash);
  return match ? Number(match[1]) : null;
}

function start(): void {
  const data = readPageData();
  const sections = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const alone = data.kind === "player";
  const manners = { home: alone, playAll: sections.length > 1, contacts: false };
  const theatre = new Theatre(data.skeleton, document.querySelector(".toolbar") as HTMLElement, manners);
  const activate = (row: Row) => (theatre.active = row);
  sections.forEach((section, i) => {
    theatre.add(new Row(section, data.rows[i].panels, data.skeleton, !alone, activate));
  });
  const goToMoment = (): boolean => {
    const time = moment();
    if (time === null) return false;
    for (const row of theatre.rows) {
      row.seek(time, true);
      theatre.draw(row);
    }
    return true;
  };
  addEventListener("hashchange", goToMoment);
  if (!goToMoment() && !theatre.still) for (const row of theatre.rows) row.toggle(true);
}

if (pageData()) {
  rememberedTheme();
  addEventListener("error", (event) => (root.dataset.fault = event.message));
  try {
    start();
  } catch (error) {
    fail(error);
  }
}

export { rememberedTheme, Row, Theatre };
