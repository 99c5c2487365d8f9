// The camera of a row: one direction, zoom and shift for all its views, controlled by mouse, touch or keys.

import * as THREE from "three";
import type { Clip } from "./data";

/** Vertical field of view of every camera, in degrees. */
export const FIELD_OF_VIEW = 28;

const HALF = Math.tan((FIELD_OF_VIEW * Math.PI) / 360);
const THREE_QUARTERS = (42 * Math.PI) / 180;

export class Orbit {
  azimuth = 0;
  elevation = 0;
  zoom = 1;
  readonly shift = new THREE.Vector3();
  /** The target of the camera when it was last aimed. */
  readonly target = new THREE.Vector3();
  private readonly reach: number;
  private readonly height: number;

  constructor(
    private readonly clips: Clip[],
    private readonly changed: () => void,
  ) {
    this.reach = Math.max(...clips.map((clip) => clip.reach));
    this.height = Math.max(1.75, ...clips.map((clip) => clip.height + 0.16));
    this.reset();
  }

  /** The initial direction: a three-quarter front view from the right of the row's first body. */
  get home(): number {
    return this.clips[0].facing - THREE_QUARTERS;
  }

  reset(): void {
    this.azimuth = this.home;
    this.elevation = 0.2;
    this.zoom = 1;
    this.shift.set(0, 0, 0);
    this.changed();
  }

  turn(azimuth: number, elevation: number): void {
    this.azimuth += azimuth;
    this.elevation = Math.min(Math.max(this.elevation + elevation, -0.12), 1.5);
    this.changed();
  }

  scale(factor: number): void {
    this.zoom = Math.min(Math.max(this.zoom * factor, 0.25), 5);
    this.changed();
  }

  /** Moves the target by a fraction of the picture's height, right and up. */
  pan(right: number, up: number): void {
    const size = 2 * HALF * this.distance(1) * this.zoom;
    const [sin, cos] = [Math.sin(this.azimuth), Math.cos(this.azimuth)];
    this.shift.x += cos * right * size;
    this.shift.z -= sin * right * size;
    this.shift.y += up * size;
    this.changed();
  }

  /** Points a camera at a clip; returns its distance. */
  aim(camera: THREE.PerspectiveCamera, clip: Clip, time: number, follow: boolean): number {
    let distance = this.distance(camera.aspect);
    if (follow) {
      const [x, z] = clip.root(time);
      this.target.set(x, 0, z);
    } else {
      const bounds = pathBounds(clip);
      this.target.set(bounds.x, 0, bounds.z);
      const radius = Math.max(...this.clips.map((other) => pathBounds(other).radius));
      distance += (radius * 0.9) / (HALF * Math.min(1, camera.aspect) * 1.6);
    }
    this.target.y = clip.floor + this.height / 2;
    this.target.add(this.shift);
    distance *= this.zoom;
    const flat = Math.cos(this.elevation) * distance;
    camera.position.set(
      this.target.x + Math.sin(this.azimuth) * flat,
      Math.max(this.target.y + Math.sin(this.elevation) * distance, clip.floor + 0.05),
      this.target.z + Math.cos(this.azimuth) * flat,
    );
    camera.lookAt(this.target);
    return distance;
  }

  private distance(aspect: number): number {
    const tall = (this.height / 2) * 1.24;
    const wide = Math.max(this.reach, 0.55) * 1.08;
    return Math.max(tall / HALF, wide / (HALF * aspect)) + 0.3;
  }

  /** Lets a canvas control this orbit. A scrolling page keeps its wheel and vertical swipes. */
  attach(canvas: HTMLCanvasElement, scrolls: boolean): void {
    canvas.style.touchAction = scrolls ? "pan-y" : "none";
    const fingers = new Map<number, [number, number]>();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId);
      if (!last) return;
      const before = spread(fingers);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
      if (fingers.size > 1) this.scale(before / Math.max(spread(fingers), 1));
      else if (event.shiftKey || event.buttons & 6) this.pan(-dx / canvas.clientHeight, dy / canvas.clientHeight);
      else this.turn(-dx * 0.009, dy * 0.007);
    });
    const lift = (event: PointerEvent) => fingers.delete(event.pointerId);
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (scrolls && !event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.scale(Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) * 0.0016));
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    const steps: Record<string, () => void> = {
      ArrowLeft: () => this.turn(-0.12, 0),
      ArrowRight: () => this.turn(0.12, 0),
      ArrowUp: () => this.turn(0, 0.08),
      ArrowDown: () => this.turn(0, -0.08),
      "+": () => this.scale(0.9),
      "=": () => this.scale(0.9),
      "-": () => this.scale(1 / 0.9),
    };
    const step = steps[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    step();
    event.preventDefault();
    event.stopPropagation();
  }
}

function spread(fingers: Map<number, [number, number]>): number {
  const [a, b] = [...fingers.values()];
  return a && b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 1;
}

function pathBounds(clip: Clip): { x: number; z: number; radius: number } {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  clip.path.forEach((value, i) => {
    low[i % 2] = Math.min(low[i % 2], value);
    high[i % 2] = Math.max(high[i % 2], value);
  });
  const radius = Math.hypot(high[0] - low[0], high[1] - low[1]) / 2;
  return { x: (low[0] + high[0]) / 2, z: (low[1] + high[1]) / 2, radius };
}
