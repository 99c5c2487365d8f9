// A row of bars over time, such as the probability of violence; the label shows the current value.

import { make } from "./dom";

export interface Kind {
  name: string;
  /** The value of a full bar. */
  full: number;
  text: (value: number) => string;
}

export const MOMENTS: Kind = { name: "violence", full: 100, text: (value) => `violence ${value} %` };
export const INTERVALS: Kind = { name: "intervals", full: 2, text: (value) => `interval ${value.toFixed(2)} × mean` };

export class Strip {
  private readonly bars: HTMLElement[];
  private readonly label = make("div", "code");
  private current = -1;

  constructor(
    place: HTMLElement,
    private readonly values: number[],
    private readonly kind: Kind,
    private readonly duration: number,
    seek: (time: number) => void,
  ) {
    const strip = make("div", `bars ${kind.name}`);
    strip.setAttribute("aria-hidden", "true");
    this.bars = values.map((value) => {
      const bar = make("span", "bar-of");
      bar.style.setProperty("--level", String(Math.min(Math.max(value / kind.full, 0), 1)));
      bar.title = kind.text(value);
      return bar;
    });
    strip.append(...this.bars);
    strip.addEventListener("click", (event) => {
      const box = strip.getBoundingClientRect();
      seek(((event.clientX - box.left) / box.width) * this.duration);
    });
    place.append(strip, this.label);
    this.mark(0);
  }

  mark(time: number): void {
    const count = this.values.length;
    const now = Math.min(Math.floor((time / Math.max(this.duration, 1e-6)) * count), count - 1);
    if (now === this.current) return;
    this.bars[this.current]?.classList.remove("now");
    this.bars[now]?.classList.add("now");
    this.current = now;
    this.label.textContent = this.kind.text(this.values[now]);
  }
}
