// Trails: the root's whole path on the ground, and the last second of hands and feet.

import * as THREE from "three";
import type { Clip, Skeleton } from "./data";
import type { Palette } from "./figure";

const PATH_POINTS = 192;
const END_POINTS = 40;
const END_SECONDS = 1.0;

const VERTEX = `
attribute vec3 along;
attribute vec2 edge;
uniform vec2 pixels;
uniform float width;
varying float strength;
void main() {
  strength = edge.y;
  vec4 here = projectionMatrix * viewMatrix * vec4(position, 1.0);
  vec4 ahead = projectionMatrix * viewMatrix * vec4(position + 0.01 * along, 1.0);
  vec2 way = (ahead.xy / ahead.w - here.xy / here.w) * pixels;
  float size = length(way);
  if (here.w > 0.0 && ahead.w > 0.0 && size > 1e-6) {
    here.xy += vec2(-way.y, way.x) / size * edge.x * width / pixels * here.w;
  }
  gl_Position = here;
}`;

const FRAGMENT = `
uniform vec3 tint;
varying float strength;
void main() {
  gl_FragColor = vec4(tint, strength);
  #include <colorspace_fragment>
}`;

/** A band of constant width in pixels along points whose positions and opacities change in every frame. */
class Trail {
  readonly mesh: THREE.Mesh<THREE.BufferGeometry, THREE.ShaderMaterial>;
  private readonly places: THREE.BufferAttribute;
  private readonly along: THREE.BufferAttribute;
  private readonly edges: THREE.BufferAttribute;

  constructor(
    private readonly points: number,
    private readonly width: number,
  ) {
    const attribute = (size: number) => new THREE.BufferAttribute(new Float32Array(2 * points * size), size);
    this.places = attribute(3);
    this.along = attribute(3);
    this.edges = attribute(2);
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", this.places);
    geometry.setAttribute("along", this.along);
    geometry.setAttribute("edge", this.edges);
    const quads = Array.from({ length: points - 1 }, (_, i) => [0, 1, 2, 2, 1, 3].map((k) => 2 * i + k));
    geometry.setIndex(quads.flat());
    const material = new THREE.ShaderMaterial({
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      transparent: true,
      depthWrite: false,
      side: THREE.DoubleSide,
      uniforms: {
        pixels: { value: new THREE.Vector2(1, 1) },
        width: { value: width },
        tint: { value: new THREE.Color() },
      },
    });
    this.mesh = new THREE.Mesh(geometry, material);
    this.mesh.frustumCulled = false;
  }

  tint(colour: string): void {
    (this.mesh.material.uniforms.tint.value as THREE.Color).set(colour);
  }

  /** Sets the size of the picture, so that the band keeps its width at any pixel density. */
  fit(width: number, height: number, density: number): void {
    (this.mesh.material.uniforms.pixels.value as THREE.Vector2).set(width, height);
    this.mesh.material.uniforms.width.value = this.width * density;
  }

  /** Sets position and opacity (0 to 1) of point i. */
  set(i: number, x: number, y: number, z: number, strength: number): void {
    for (const k of [0, 1]) {
      this.places.setXYZ(2 * i + k, x, y, z);
      this.edges.setXY(2 * i + k, 2 * k - 1, strength);
    }
  }

  /** Call after the last `set`: computes directions from each point's neighbours. */
  done(): void {
    const at = this.places.array;
    for (let i = 0; i < this.points; i++) {
      const before = 6 * Math.max(i - 1, 0);
      const after = 6 * Math.min(i + 1, this.points - 1);
      const way = [0, 1, 2].map((axis) => at[after + axis] - at[before + axis]);
      const size = Math.max(Math.hypot(...way), 1e-9);
      for (const k of [0, 1]) this.along.setXYZ(2 * i + k, way[0] / size, way[1] / size, way[2] / size);
    }
    for (const attribute of [this.places, this.along, this.edges]) attribute.needsUpdate = true;
  }
}

export class Trails {
  readonly group = new THREE.Group();
  private readonly path = new Trail(PATH_POINTS, 2.5);
  private readonly ends: { trail: Trail; joint: number }[];
  private readonly pose: Float32Array;

  constructor(private readonly skeleton: Skeleton) {
    this.pose = new Float32Array(skeleton.parents.length * 3);
    this.ends = skeleton.ends.map((joint) => ({ trail: new Trail(END_POINTS, 3), joint }));
    this.group.add(this.path.mesh, ...this.ends.map((end) => end.trail.mesh));
  }

  colour(palette: Palette): void {
    this.path.tint(palette.path);
    for (const { trail, joint } of this.ends) trail.tint(palette[this.skeleton.sides[joint]]);
  }

  fit(width: number, height: number, density: number): void {
    for (const trail of [this.path, ...this.ends.map((end) => end.trail)]) trail.fit(width, height, density);
  }

  update(clip: Clip, time: number, root: boolean, ends: boolean): void {
    this.path.mesh.visible = root;
    for (const { trail } of this.ends) trail.mesh.visible = ends;
    if (root) this.updatePath(clip, time);
    if (ends) this.updateEnds(clip, time);
  }

  private updatePath(clip: Clip, time: number): void {
    const now = Math.min(time, clip.duration);
    const size = clip.joints * 3;
    for (let i = 0; i < PATH_POINTS; i++) {
      const at = (clip.duration * i) / (PATH_POINTS - 1);
      const frame = Math.min(Math.floor(at * clip.fps), clip.frames - 2);
      const weight = at * clip.fps - frame;
      const a = clip.positions.subarray(frame * size);
      const b = clip.positions.subarray((frame + 1) * size);
      const alpha = at <= now ? 0.9 : 0.22;
      const x = a[0] * (1 - weight) + b[0] * weight;
      const z = a[2] * (1 - weight) + b[2] * weight;
      this.path.set(i, x, clip.floor + 0.004, z, alpha);
    }
    this.path.done();
  }

  private updateEnds(clip: Clip, time: number): void {
    const now = Math.min(time, clip.duration);
    for (let i = 0; i < END_POINTS; i++) {
      const share = i / (END_POINTS - 1);
      clip.pose(Math.max(now - END_SECONDS * (1 - share), 0), this.pose);
      for (const { trail, joint } of this.ends) {
        const at = joint * 3;
        trail.set(i, this.pose[at], this.pose[at + 1], this.pose[at + 2], 0.75 * share * share);
      }
    }
    for (const { trail } of this.ends) trail.done();
  }
}
