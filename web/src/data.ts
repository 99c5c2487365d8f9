// The data of a page: the JSON written by view/page.py, and clips unpacked from it.

export type Side = "left" | "right" | "trunk";

export interface Skeleton {
  parents: number[];
  sides: Side[];
  radii: number[];
  head: number;
  neck: number;
  ends: number[];
}

export interface PackedClip {
  frames: number;
  fps: number;
  facing: number;
  floor: number;
  scale: number;
  centre: [number, number, number];
  joints: string;
  /** One character per frame: 0 no foot stands, 1 the left, 2 the right, 3 both. */
  contacts?: string;
  /** First frame and caption of every scene of a motion with several scenes, in order. */
  scenes?: [number, string][];
}

export interface PanelData {
  clip: PackedClip;
  codes: number[];
  replaced: number[];
  /** Code -> percentage of the concept's clips that contain it, and of other clips. */
  counts?: Record<string, [number, number]>;
  concept?: string | null;
  /** Probability of violence around each code step, in percent. */
  moments?: number[] | null;
  /** Learned interval of each code step, 1 = the mean. */
  intervals?: number[] | null;
}

export interface PageData {
  kind: "player" | "gallery" | "comparison";
  skeleton: Skeleton;
  rows: { panels: PanelData[] }[];
}

/** The element with the motions of a standalone page; the studio's page has none. */
export function pageData(): HTMLElement | null {
  return document.getElementById("exuvia-data");
}

export function readPageData(): PageData {
  const text = pageData()?.textContent;
  if (!text) throw new Error("this page carries no motion data");
  return JSON.parse(text) as PageData;
}

export class Clip {
  readonly frames: number;
  readonly fps: number;
  readonly facing: number;
  readonly floor: number;
  readonly joints: number;
  readonly contacts: string;
  /** Positions of every frame, in metres. */
  readonly positions: Float32Array;
  /** x and z of the root, smoothed over steps. */
  readonly path: Float32Array;
  /** Largest horizontal distance of a joint from the smoothed root, and largest height above the ground. */
  readonly reach: number;
  readonly height: number;

  constructor(packed: PackedClip, joints: number) {
    this.frames = packed.frames;
    this.fps = packed.fps;
    this.facing = packed.facing;
    this.floor = packed.floor;
    this.joints = joints;
    this.contacts = packed.contacts ?? "";
    this.positions = unpack(packed, joints);
    this.path = smoothPath(this.positions, this.frames, joints, Math.round(packed.fps * 0.5));
    let reach = 0;
    let height = 0;
    for (let f = 0; f < this.frames; f++) {
      for (let j = 0; j < joints; j++) {
        const at = (f * joints + j) * 3;
        const x = this.positions[at] - this.path[2 * f];
        const z = this.positions[at + 2] - this.path[2 * f + 1];
        reach = Math.max(reach, Math.hypot(x, z));
        height = Math.max(height, this.positions[at + 1] - this.floor);
      }
    }
    this.reach = reach;
    this.height = height;
  }

  /** Seconds from the first frame to the last. */
  get duration(): number {
    return (this.frames - 1) / this.fps;
  }

  /** The pose at a time, interpolated linearly between frames; constant before the start and after the end. */
  pose(time: number, out: Float32Array): void {
    const [low, weight] = this.locate(time);
    const size = this.joints * 3;
    const a = low * size;
    const b = Math.min(low + 1, this.frames - 1) * size;
    for (let i = 0; i < size; i++) {
      out[i] = this.positions[a + i] * (1 - weight) + this.positions[b + i] * weight;
    }
  }

  /** x and z of the smoothed root at a time. */
  root(time: number): [number, number] {
    const [low, weight] = this.locate(time);
    const high = Math.min(low + 1, this.frames - 1);
    return [
      this.path[2 * low] * (1 - weight) + this.path[2 * high] * weight,
      this.path[2 * low + 1] * (1 - weight) + this.path[2 * high + 1] * weight,
    ];
  }

  /** The feet that stand at a time: 0 none, 1 the left, 2 the right, 3 both. */
  standing(time: number): number {
    const [low, weight] = this.locate(time);
    return Number(this.contacts[low + Math.round(weight)] ?? 0);
  }

  private locate(time: number): [number, number] {
    const at = Math.min(Math.max(time * this.fps, 0), this.frames - 1);
    const low = Math.floor(at);
    return [low, at - low];
  }
}

function unpack(packed: PackedClip, joints: number): Float32Array {
  const bytes = atob(packed.joints);
  const count = packed.frames * joints * 3;
  if (bytes.length !== 2 * count) throw new Error("the motion data of this page is incomplete");
  const positions = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const word = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
    positions[i] = ((word << 16) >> 16) * packed.scale + packed.centre[i % 3];
  }
  return positions;
}

function smoothPath(positions: Float32Array, frames: number, joints: number, half: number): Float32Array {
  const path = new Float32Array(2 * frames);
  for (let f = 0; f < frames; f++) {
    let x = 0;
    let z = 0;
    for (let k = -half; k <= half; k++) {
      const at = Math.min(Math.max(f + k, 0), frames - 1) * joints * 3;
      x += positions[at];
      z += positions[at + 2];
    }
    path[2 * f] = x / (2 * half + 1);
    path[2 * f + 1] = z / (2 * half + 1);
  }
  return path;
}
