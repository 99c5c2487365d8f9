// Starts the page: reads its data, builds the rows, runs the clock.
//
// The address may name a moment: `#t=0.5` stops every row half a second in, the same picture every time. The
// root element and each row say in data-drawn which moment they show; data-fault holds the text of a failure.

import { readPageData } from "./data";
import { Row } from "./row";
import { Stage } from "./stage";
import { Toolbar } from "./toolbar";

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

function remembered(): string | null {
  try {
    return localStorage.getItem("exuvia-theme");
  } catch {
    return null;
  }
}

function isDark(): boolean {
  return (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
}

class Page {
  private readonly data = readPageData();
  private readonly stage = new Stage(this.data.skeleton);
  private readonly rows: Row[];
  private readonly toolbar: Toolbar;
  private active: Row;
  private last = performance.now();
  private share = 1;
  private slow = 0;

  constructor() {
    const sections = [...document.querySelectorAll<HTMLElement>("[data-row]")];
    const scrolls = this.data.kind !== "player";
    const activate = (row: Row) => (this.active = row);
    this.rows = sections.map((section, i) => {
      return new Row(section, this.data.rows[i].panels, this.data.skeleton, scrolls, activate);
    });
    this.active = this.rows[0];
    this.toolbar = new Toolbar(document.querySelector(".toolbar") as HTMLElement, {
      changed: () => this.redraw(),
      resetCamera: () => this.rows.forEach((row) => row.resetCamera()),
      playAll: this.rows.length > 1 ? () => this.playAll() : null,
      theme: () => this.flipTheme(),
    });
    this.applyTheme();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.applyTheme());
    this.watch();
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => this.goToMoment());
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!this.goToMoment() && !still) this.rows.forEach((row) => row.toggle(true));
    requestAnimationFrame((now) => this.tick(now));
  }

  /** Only rows on the screen are drawn. */
  private watch(): void {
    const observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          const row = this.rows.find((each) => each.element === entry.target);
          if (row) row.visible = entry.isIntersecting;
        }
      },
      { rootMargin: "80px" },
    );
    this.rows.forEach((row) => observer.observe(row.element));
  }

  private tick(now: number): void {
    const passed = now - this.last;
    const seconds = Math.min(passed / 1000, 0.25) * this.toolbar.speed;
    this.last = now;
    this.adapt(passed);
    for (const row of this.rows) {
      if (!row.visible) continue;
      if (row.playing) row.advance(seconds);
      if (row.dirty) this.draw(row);
    }
    requestAnimationFrame((next) => this.tick(next));
  }

  private draw(row: Row): void {
    row.draw(this.stage, this.toolbar.options, this.share);
    row.element.dataset.drawn = row.time.toFixed(3);
    root.dataset.drawn = this.active.time.toFixed(3);
  }

  /** Where the machine cannot keep up, moving pictures are drawn with fewer pixels. */
  private adapt(passed: number): void {
    const playing = this.rows.some((row) => row.visible && row.playing);
    this.slow = playing && passed > 45 && passed < 2000 ? this.slow + 1 : 0;
    if (this.slow < 8 || this.share < 0.6) return;
    this.share *= 0.8;
    this.slow = 0;
  }

  private redraw(): void {
    for (const row of this.rows) row.dirty = true;
  }

  private goToMoment(): boolean {
    const time = moment();
    if (time === null) return false;
    for (const row of this.rows) {
      row.seek(time, true);
      this.draw(row);
    }
    return true;
  }

  private playAll(): void {
    const playing = !this.rows.some((row) => row.playing);
    for (const row of this.rows) row.toggle(playing);
  }

  private flipTheme(): void {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("exuvia-theme", root.dataset.theme);
    } catch {
      // a page opened from a file may have no storage; the choice then lasts until it is closed
    }
    this.applyTheme();
  }

  private applyTheme(): void {
    this.stage.theme(getComputedStyle(root));
    this.redraw();
  }

  private key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = event.target as HTMLElement;
    if (event.key === " " && /^(BUTTON|SELECT|SUMMARY|A)$/.test(target.tagName)) return;
    if (target.tagName === "SELECT") return;
    const actions: Record<string, () => void> = {
      " ": () => this.active.toggle(),
      ArrowLeft: () => this.active.step(-1),
      ArrowRight: () => this.active.step(1),
      Home: () => this.active.seek(0, true),
      f: () => this.toolbar.flip("follow"),
      p: () => this.toolbar.flip("path"),
      t: () => this.toolbar.flip("ends"),
      r: () => this.rows.forEach((row) => row.resetCamera()),
      d: () => this.flipTheme(),
      a: () => this.playAll(),
    };
    const action = actions[event.key];
    if (!action) return;
    if (event.key === "Home" && this.data.kind !== "player") return;
    event.preventDefault();
    action();
  }
}

const theme = remembered();
if (theme === "dark" || theme === "light") root.dataset.theme = theme;
addEventListener("error", (event) => (root.dataset.fault = event.message));
try {
  new Page();
} catch (error) {
  fail(error);
}
