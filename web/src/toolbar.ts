// The page's controls: speed, follow, trails, camera, theme.

import { icon, make } from "./dom";
import type { Options } from "./stage";

const SPEEDS = [0.25, 0.5, 1, 1.5, 2];

export interface Actions {
  changed: () => void;
  resetCamera: () => void;
  playAll: (() => void) | null;
  theme: () => void;
  /** Whether clips have foot contacts. */
  contacts?: boolean;
}

export class Toolbar {
  speed = 1;
  readonly options: Options = { follow: true, path: true, ends: false, contacts: false, bones: false };
  private readonly switches = new Map<keyof Options, HTMLButtonElement>();

  constructor(bar: HTMLElement, private readonly actions: Actions) {
    if (actions.playAll) bar.append(this.iconButton("play", "Start or stop every row (a)", actions.playAll));
    bar.append(
      this.speedMenu(),
      this.toggleButton("follow", "Follow", "The camera follows the body (f)"),
      this.toggleButton("path", "Path", "The root's path on the floor (p)"),
      this.toggleButton("ends", "Trails", "The last second of hands and feet (t)"),
      ...(actions.contacts ? [this.toggleButton("contacts", "Contacts", "Feet that stand (c)")] : []),
      this.toggleButton("bones", "Bones", "Bones instead of a body (b)"),
      this.iconButton("reset", "Reset the camera (r)", actions.resetCamera),
      this.iconButton("theme", "Dark or light (d)", actions.theme),
    );
  }

  flip(name: keyof Options): void {
    this.options[name] = !this.options[name];
    this.switches.get(name)?.setAttribute("aria-pressed", String(this.options[name]));
    this.actions.changed();
  }

  private toggleButton(name: keyof Options, label: string, title: string): HTMLButtonElement {
    const button = make("button", "switch");
    button.type = "button";
    button.textContent = label;
    button.title = title;
    button.setAttribute("aria-pressed", String(this.options[name]));
    button.addEventListener("click", () => this.flip(name));
    this.switches.set(name, button);
    return button;
  }

  private iconButton(shape: "play" | "reset" | "theme", title: string, action: () => void): HTMLButtonElement {
    const button = make("button", "icon");
    button.type = "button";
    button.title = title;
    button.setAttribute("aria-label", title);
    button.append(icon(shape));
    button.addEventListener("click", action);
    return button;
  }

  private speedMenu(): HTMLElement {
    const select = make("select", "speed");
    select.setAttribute("aria-label", "Speed");
    select.title = "Speed";
    for (const speed of SPEEDS) select.add(new Option(`${speed}×`, String(speed), speed === 1, speed === 1));
    select.addEventListener("change", () => (this.speed = Number(select.value)));
    return select;
  }
}
