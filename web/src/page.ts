// The player: starts a standalone page (reads its data, builds the rows), and is a library for the studio.
//
// The address can name a time: `#t=0.5` stops every row at 0.5 s, for reproducible pictures. data-fault on the root
// element has the message of a failure.

import { pageData, readPageData } from "./data";
import { Row } from "./row";
import { PlayerGroup, rememberedTheme } from "./players";

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
  const options = { home: alone, playAll: sections.length > 1, contacts: false };
  const players = new PlayerGroup(data.skeleton, document.querySelector(".toolbar") as HTMLElement, options);
  const activate = (row: Row) => (players.active = row);
  sections.forEach((section, i) => {
    players.add(new Row(section, data.rows[i].panels, data.skeleton, !alone, activate));
  });
  const goToMoment = (): boolean => {
    const time = moment();
    if (time === null) return false;
    for (const row of players.rows) {
      row.seek(time, true);
      players.draw(row);
    }
    return true;
  };
  addEventListener("hashchange", goToMoment);
  if (!goToMoment() && !players.still) for (const row of players.rows) row.toggle(true);
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

export { rememberedTheme, Row, PlayerGroup };
