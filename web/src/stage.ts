// One WebGL context for a page of players: each view poses the shared figure, renders it, and copies to its canvas.

import * as THREE from "three";
import type { Clip, Skeleton } from "./data";
import { Figure, type Palette } from "./figure";
import { Contacts } from "./contacts";
import { Floor } from "./floor";
import { FIELD_OF_VIEW, type Orbit } from "./orbit";
import { Trails } from "./trails";

export interface Options {
  follow: boolean;
  path: boolean;
  ends: boolean;
  contacts: boolean;
  bones: boolean;
}

export class Stage {
  private readonly renderer: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  private readonly camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, 120);
  private readonly figure: Figure;
  private readonly floor = new Floor();
  private readonly trails: Trails;
  private readonly contacts: Contacts;
  private readonly sun = new THREE.DirectionalLight(0xffffff, 2.0);
  private readonly sky = new THREE.HemisphereLight(0xffffff, 0xb4b8bd, 1.7);
  private readonly pose: Float32Array;
  private size: [number, number] = [0, 0];

  constructor(skeleton: Skeleton) {
    this.renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true, powerPreference: "low-power" });
    this.renderer.setClearColor(0x000000, 0);
    this.renderer.setPixelRatio(1);
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.figure = new Figure(skeleton);
    this.trails = new Trails(skeleton);
    this.contacts = new Contacts(skeleton);
    this.pose = new Float32Array(skeleton.parents.length * 3);
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.set(1024, 1024);
    this.sun.shadow.radius = 5;
    this.sun.shadow.bias = -0.0006;
    this.sun.shadow.normalBias = 0.01;
    const box = this.sun.shadow.camera;
    [box.left, box.right, box.bottom, box.top, box.near, box.far] = [-2.2, 2.2, -2.2, 2.2, 0.5, 12];
    this.scene.add(this.figure.group, this.floor.group, this.trails.group, this.contacts.group, this.sky, this.sun, this.sun.target);
  }

  /** Applies the colours of the page's theme. */
  theme(style: CSSStyleDeclaration): void {
    const value = (name: string) => style.getPropertyValue(name).trim();
    const palette: Palette = {
      left: value("--left"),
      right: value("--right"),
      trunk: value("--trunk"),
      path: value("--path"),
    };
    this.figure.colour(palette);
    this.trails.colour(palette);
    this.contacts.colour(palette);
    this.floor.colour(value("--grid"), Number(value("--grid-strength")), Number(value("--shadow-strength")));
  }

  /** Draws a clip at a given time on a canvas, as seen by an orbit. */
  draw(canvas: HTMLCanvasElement, clip: Clip, time: number, orbit: Orbit, options: Options): void {
    const { width, height } = canvas;
    if (!width || !height) return;
    clip.pose(time, this.pose);
    this.figure.bones(options.bones);
    this.figure.pose(this.pose);
    this.contacts.place(this.pose, clip.floor, options.contacts ? clip.standing(time) : 0);
    this.trails.update(clip, time, options.path, options.ends);
    this.trails.fit(width, height, width / Math.max(canvas.clientWidth, 1));
    const [x, z] = clip.root(time);
    this.sun.target.position.set(x, clip.floor + 0.6, z);
    const side = orbit.home - 0.75; // light from the left of the first view, whatever direction the body faces
    this.sun.position.set(x + 3.2 * Math.sin(side), clip.floor + 5.2, z + 3.2 * Math.cos(side));
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    const distance = orbit.aim(this.camera, clip, time, options.follow);
    const target = orbit.target;
    this.floor.place(target.x, clip.floor, target.z, Math.max(5, distance * 1.3));
    this.render(canvas, width, height);
  }

  private render(canvas: HTMLCanvasElement, width: number, height: number): void {
    if (width > this.size[0] || height > this.size[1]) {
      this.size = [Math.max(width, this.size[0]), Math.max(height, this.size[1])];
      this.renderer.setSize(this.size[0], this.size[1], false);
    }
    this.renderer.setViewport(0, 0, width, height);
    this.renderer.setScissor(0, 0, width, height);
    this.renderer.setScissorTest(true);
    this.renderer.render(this.scene, this.camera);
    const context = canvas.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, width, height);
    const top = this.size[1] - height; // WebGL counts rows from below
    context.drawImage(this.renderer.domElement, 0, top, width, height, 0, 0, width, height);
  }
}
