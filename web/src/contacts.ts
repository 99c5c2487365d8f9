// Draws discs on the ground under standing feet.

import * as THREE from "three";
import type { Palette } from "./figure";
import type { Skeleton } from "./data";

export class Contacts {
  readonly group = new THREE.Group();
  private readonly discs: { mesh: THREE.Mesh<THREE.RingGeometry, THREE.MeshBasicMaterial>; joint: number; bit: number }[];

  constructor(skeleton: Skeleton) {
    const ring = new THREE.RingGeometry(0.075, 0.105, 28).rotateX(-Math.PI / 2);
    const [left, right] = skeleton.ends; // the toes come first
    this.discs = [
      { joint: left, bit: 1 },
      { joint: right, bit: 2 },
    ].map(({ joint, bit }) => {
      const mesh = new THREE.Mesh(ring, new THREE.MeshBasicMaterial({ transparent: true, opacity: 0.9 }));
      mesh.renderOrder = 1;
      this.group.add(mesh);
      return { mesh, joint, bit };
    });
  }

  colour(palette: Palette): void {
    this.discs[0].mesh.material.color.set(palette.left);
    this.discs[1].mesh.material.color.set(palette.right);
  }

  place(points: Float32Array, floor: number, standing: number): void {
    for (const { mesh, joint, bit } of this.discs) {
      mesh.visible = (standing & bit) !== 0;
      mesh.position.set(points[joint * 3], floor + 0.008, points[joint * 3 + 2]);
    }
  }
}
