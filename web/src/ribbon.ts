// The ribbon of motion codes under a view; replaced codes are marked, the current one is framed.

import type { PanelData } from "./data";
import { make } from "./dom";

export class Ribbon {
  private readonly cells: HTMLElement[];
  private readonly label: HTMLElement;
  private current = -1;

  constructor(
    place: HTMLElement,
    private readonly panel: PanelData,
    private readonly duration: number,
    seek: (time: number) => void,
  ) {
    const replaced = new Set(panel.replaced);
    const strip = make("div", "cells");
    strip.setAttribute("aria-hidden", "true");
    this.cells = panel.codes.map((code, i) => {
      const cell = make("span", replaced.has(i) ? "cell replaced" : "cell");
      cell.style.setProperty("--tone", String((code * 37) % 100));
      cell.title = `code ${i}: ${code}${replaced.has(i) ? ", replaced" : ""}${this.usual(code)}`;
      return cell;
    });
    strip.append(...this.cells);
    strip.addEventListener("click", (event) => {
      const box = strip.getBoundingClientRect();
      seek(((event.clientX - box.left) / box.width) * this.duration);
    });
    this.label = make("div", "code");
    place.append(strip, this.label);
    this.mark(0);
  }

  /** How common the code is in the concept's clips and in others, if known. */
  private usual(code: number): string {
    const shares = this.panel.counts?.[String(code)];
    return shares ? ` · in ${shares[0]} % of ${this.panel.concept} clips, ${shares[1]} % of others` : "";
  }

  mark(time: number): void {
    const count = this.panel.codes.length;
    const now = Math.min(Math.floor((time / Math.max(this.duration, 1e-6)) * count), count - 1);
    if (now === this.current) return;
    this.cells[this.current]?.classList.remove("now");
    this.cells[now]?.classList.add("now");
    this.current = now;
    const replaced = this.panel.replaced.includes(now);
    const code = this.panel.codes[now];
    this.label.textContent = `code ${code}${replaced ? " · replaced" : ""}${this.usual(code)}`;
    this.label.classList.toggle("replaced", replaced);
  }
}
