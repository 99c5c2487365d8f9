// The current caption of a motion with several captions, above its view.

import type { PackedClip } from "./data";
import { make } from "./dom";

export class Scene {
  private readonly label = make("p", "scene");

  constructor(
    screen: HTMLElement,
    private readonly scenes: [number, string][],
    private readonly fps: number,
  ) {
    screen.append(this.label);
  }

  static of(screen: HTMLElement | null, packed: PackedClip): Scene | null {
    return screen && packed.scenes?.length ? new Scene(screen, packed.scenes, packed.fps) : null;
  }

  mark(time: number): void {
    const frame = time * this.fps + 1e-6;
    let text = this.scenes[0][1];
    for (const [first, caption] of this.scenes) if (first <= frame) text = caption;
    if (this.label.textContent !== text) this.label.textContent = text;
  }
}
