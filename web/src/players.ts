// The players of a page: one stage, its rows, one clock, and the keys.
//
// data-drawn on the root element and on each row has the time that they show.

import type { Skeleton } from "./data";
import type { Row } from "./row";
import { Stage } from "./stage";
import { Toolbar } from "./toolbar";

const root = document.documentElement;

export interface PlayerOptions {
  /** The Home key goes to the start of the motion instead of the top of the page. */
  home: boolean;
  playAll: boolean;
  contacts: boolean;
}

function remembered(): string | null {
  try {
    return localStorage.getItem("exuvia-theme");
  } catch {
    return null;
  }
}

export function rememberedTheme(): void {
  const theme = remembered();
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
}

function isDark(): boolean {
  return (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
}

export class PlayerGroup {
  readonly rows = new Set<Row>();
  readonly toolbar: Toolbar;
  readonly still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  active: Row | null = null;
  private readonly stage: Stage;
  private last = performance.now();
  private share = 1;
  private slow = 0;
  /** Draws only rows that are on the screen. */
  private readonly observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        for (const row of this.rows) if (row.element === entry.target) row.visible = entry.isIntersecting;
      }
    },
    { rootMargin: "80px" },
  );

  constructor(
    skeleton: Skeleton,
    bar: HTMLElement,
    private readonly options: PlayerOptions,
  ) {
    this.stage = new Stage(skeleton);
    this.toolbar = new Toolbar(bar, {
      changed: () => this.redraw(),
      resetCamera: () => this.resetCameras(),
      playAll: options.playAll ? () => this.playAll() : null,
      theme: () => this.flipTheme(),
      contacts: options.contacts,
    });
    this.applyTheme();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.applyTheme());
    addEventListener("keydown", (event) => this.key(event));
    requestAnimationFrame((now) => this.tick(now));
  }

  add(row: Row): void {
    this.rows.add(row);
    this.active ??= row;
    this.observer.observe(row.element);
  }

  remove(row: Row): void {
    this.observer.unobserve(row.element);
    this.rows.delete(row);
    if (this.active === row) this.active = this.rows.values().next().value ?? null;
  }

  draw(row: Row): void {
    row.draw(this.stage, this.toolbar.options, this.share);
    row.element.dataset.drawn = row.time.toFixed(3);
    if (this.active) root.dataset.drawn = this.active.time.toFixed(3);
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

  /** Draws moving pictures with fewer pixels if the machine is too slow. */
  private adapt(passed: number): void {
    const playing = [...this.rows].some((row) => row.visible && row.playing);
    this.slow = playing && passed > 45 && passed < 2000 ? this.slow + 1 : 0;
    if (this.slow < 8 || this.share < 0.6) return;
    this.share *= 0.8;
    this.slow = 0;
  }

  private redraw(): void {
    for (const row of this.rows) row.dirty = true;
  }

  private resetCameras(): void {
    for (const row of this.rows) row.resetCamera();
  }

  private playAll(): void {
    const playing = ![...this.rows].some((row) => row.playing);
    for (const row of this.rows) row.toggle(playing);
  }

  private flipTheme(): void {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("exuvia-theme", root.dataset.theme);
    } catch {
      // a page opened from a file may lack storage; the choice then lasts until it is closed
    }
    this.applyTheme();
  }

  private applyTheme(): void {
    this.stage.theme(getComputedStyle(root));
    this.redraw();
  }

  private key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    const target = event.target as HTMLElement;
    if (event.key === " " && /^(BUTTON|SELECT|SUMMARY|A|LABEL)$/.test(target.tagName)) return;
    if (/^(SELECT|TEXTAREA)$/.test(target.tagName)) return;
    if (target.tagName === "INPUT" && !target.classList.contains("scrubber")) return;
    const actions: Record<string, () => void> = {
      " ": () => this.active?.toggle(),
      ArrowLeft: () => this.active?.step(-1),
      ArrowRight: () => this.active?.step(1),
      Home: () => this.active?.seek(0, true),
      f: () => this.toolbar.flip("follow"),
      p: () => this.toolbar.flip("path"),
      t: () => this.toolbar.flip("ends"),
      b: () => this.toolbar.flip("bones"),
      r: () => this.resetCameras(),
      d: () => this.flipTheme(),
      a: () => this.playAll(),
    };
    if (this.options.contacts) actions.c = () => this.toolbar.flip("contacts");
    const action = actions[event.key];
    if (!action || (event.key === "Home" && !this.options.home)) return;
    event.preventDefault();
    action();
  }
}
