// A row of a page: adjacent views that share a timeline and a camera.

import { Clip, type PanelData, type Skeleton } from "./data";
import { icon, make } from "./dom";
import { Orbit } from "./orbit";
import { Ribbon } from "./ribbon";
import { Scene } from "./scene";
import type { Options, Stage } from "./stage";
import { INTERVALS, MOMENTS, Strip, type Kind } from "./strip";

interface View {
  canvas: HTMLCanvasElement;
  clip: Clip;
  ribbon: Ribbon | null;
  scene: Scene | null;
  strips: Strip[];
}

export class Row {
  time = 0;
  playing = false;
  visible = false;
  dirty = true;
  readonly duration: number;
  private readonly fps: number;
  private readonly views: View[];
  private readonly orbit: Orbit;
  private readonly button = make("button", "play");
  private readonly slider = make("input", "scrubber");
  private readonly clock = make("output", "clock");

  constructor(
    readonly element: HTMLElement,
    panels: PanelData[],
    skeleton: Skeleton,
    scrolls: boolean,
    private readonly activated: (row: Row) => void,
  ) {
    const clips = panels.map((panel) => new Clip(panel.clip, skeleton.parents.length));
    this.duration = Math.max(...clips.map((clip) => clip.duration));
    this.fps = Math.max(...clips.map((clip) => clip.fps));
    this.orbit = new Orbit(clips, () => (this.dirty = true));
    const figures = [...element.querySelectorAll<HTMLElement>("figure")];
    this.views = figures.map((figure, i) => this.addView(figure, clips[i], panels[i], scrolls));
    this.addTimeline(element.querySelector(".timeline") as HTMLElement);
    element.addEventListener("pointerdown", () => this.activated(this));
    element.addEventListener("focusin", () => this.activated(this));
    this.show();
  }

  private addView(figure: HTMLElement, clip: Clip, panel: PanelData, scrolls: boolean): View {
    const canvas = make("canvas", "view");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    const name = figure.dataset.name || "Motion";
    canvas.setAttribute("aria-label", `${name}: 3-D view. Arrow keys turn the camera, plus and minus zoom.`);
    const screen = figure.querySelector<HTMLElement>(".screen");
    screen?.append(canvas);
    this.orbit.attach(canvas, scrolls);
    new ResizeObserver(() => (this.dirty = true)).observe(canvas);
    const place = figure.querySelector<HTMLElement>(".ribbon");
    const seek = (time: number) => this.seek(time, true);
    const ribbon = place ? new Ribbon(place, panel, clip.duration, seek) : null;
    const strips = [this.strip(figure, MOMENTS, panel.moments, clip), this.strip(figure, INTERVALS, panel.intervals, clip)];
    return { canvas, clip, ribbon, scene: Scene.of(screen, panel.clip), strips: strips.filter((each) => each !== null) };
  }

  private strip(figure: HTMLElement, kind: Kind, values: number[] | null | undefined, clip: Clip): Strip | null {
    const place = figure.querySelector<HTMLElement>(`.strip.${kind.name}`);
    const seek = (time: number) => this.seek(time, true);
    return place && values?.length ? new Strip(place, values, kind, clip.duration, seek) : null;
  }

  private addTimeline(bar: HTMLElement): void {
    this.button.type = "button";
    this.button.addEventListener("click", () => this.toggle());
    const last = Math.round(this.duration * this.fps);
    Object.assign(this.slider, { type: "range", min: "0", max: String(last), step: "any", value: "0" });
    this.slider.setAttribute("aria-label", "Time");
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value) / this.fps, true));
    this.slider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      this.step(step);
    });
    bar.append(this.button, this.slider, this.clock);
  }

  private resize(canvas: HTMLCanvasElement, share = 1): void {
    const ratio = Math.min(window.devicePixelRatio || 1, 2) * share;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      this.dirty = true;
    }
  }

  toggle(playing = !this.playing): void {
    this.playing = playing;
    if (playing && this.time >= this.duration) this.time = 0;
    this.show();
  }

  /** Goes to a time; `pause` for a jump by hand. */
  seek(time: number, pause: boolean): void {
    this.time = Math.min(Math.max(time, 0), this.duration);
    if (pause) this.playing = false;
    this.show();
  }

  step(frames: number): void {
    this.seek((Math.round(this.time * this.fps) + frames) / this.fps, true);
  }

  resetCamera(): void {
    this.orbit.reset();
  }

  /** Plays in a loop with a short pause at the end. */
  advance(seconds: number): void {
    this.time += seconds;
    if (this.time > this.duration + 0.6) this.time = 0;
    this.show();
  }

  /** A `share` of the screen's pixels is drawn while the row plays; still pictures have full resolution. */
  draw(stage: Stage, options: Options, share: number): void {
    for (const { canvas, clip } of this.views) {
      this.resize(canvas, this.playing ? share : 1);
      stage.draw(canvas, clip, this.time, this.orbit, options);
    }
    this.dirty = false;
  }

  private show(): void {
    this.dirty = true;
    const time = Math.min(this.time, this.duration);
    const frame = Math.round(time * this.fps);
    const state = this.playing ? "pause" : "play";
    if (this.button.dataset.state !== state) {
      this.button.dataset.state = state;
      this.button.replaceChildren(icon(state));
      this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
      this.button.title = `${this.playing ? "Pause" : "Play"} (space)`;
    }
    this.slider.value = String(time * this.fps);
    this.slider.style.setProperty("--done", `${this.duration ? (100 * time) / this.duration : 0}%`);
    this.slider.setAttribute("aria-valuetext", `${time.toFixed(2)} seconds, frame ${frame}`);
    const clock = `${time.toFixed(2)} / ${this.duration.toFixed(2)} s`;
    if (this.clock.value !== clock) this.clock.value = clock;
    for (const { ribbon, scene, strips } of this.views) {
      ribbon?.mark(time);
      scene?.mark(time);
      for (const strip of strips) strip.mark(time);
    }
  }
}
