// The body: tapered limbs between joints, in three colours, posed by 22 points.

import * as THREE from "three";
import type { Side, Skeleton } from "./data";

const UP = new THREE.Vector3(0, 1, 0);

export type Palette = Record<Side | "path", string>;

interface Limb {
  mesh: THREE.Mesh;
  from: number;
  to: number;
  beyond: number;
}

export class Figure {
  readonly group = new THREE.Group();
  private readonly limbs: Limb[] = [];
  private readonly balls: { mesh: THREE.Mesh; joint: number }[] = [];
  private readonly head: THREE.Mesh;
  private readonly materials: Record<Side, THREE.MeshLambertMaterial>;
  private thin = false;
  private readonly a = new THREE.Vector3();
  private readonly b = new THREE.Vector3();
  private readonly along = new THREE.Vector3();

  constructor(private readonly skeleton: Skeleton) {
    const material = () => new THREE.MeshLambertMaterial();
    this.materials = { left: material(), right: material(), trunk: material() };
    const ball = new THREE.SphereGeometry(1, 16, 12);
    const radius = (joint: number) => skeleton.radii[joint];
    const add = (geometry: THREE.BufferGeometry, side: Side) => {
      const mesh = new THREE.Mesh(geometry, this.materials[side]);
      mesh.castShadow = true;
      mesh.frustumCulled = false;
      this.group.add(mesh);
      return mesh;
    };
    skeleton.parents.forEach((parent, joint) => {
      const side = skeleton.sides[joint];
      const end = skeleton.ends.includes(joint);
      const joined = add(ball, side);
      joined.scale.setScalar(radius(joint) * 0.98);
      this.balls.push({ mesh: joined, joint });
      if (parent < 0) return;
      const thick = skeleton.sides[parent] === side ? radius(parent) : radius(joint) * 1.15;
      const limb = new THREE.CylinderGeometry(radius(joint), thick, 1, 14, 1, true);
      limb.translate(0, 0.5, 0);
      this.limbs.push({ mesh: add(limb, side), from: parent, to: joint, beyond: 0 });
      if (end) {
        // hands and toes extend a little beyond the last joint
        const tip = new THREE.CapsuleGeometry(radius(joint) * 0.92, 0.05, 4, 14);
        this.limbs.push({ mesh: add(tip, side), from: parent, to: joint, beyond: 0.035 });
      }
    });
    this.head = add(new THREE.SphereGeometry(1, 24, 18), "trunk");
  }

  colour(palette: Palette): void {
    for (const side of ["left", "right", "trunk"] as const) this.materials[side].color.set(palette[side]);
  }

  /** Thin bones instead of a body. */
  bones(thin: boolean): void {
    if (thin === this.thin) return;
    this.thin = thin;
    const share = thin ? 0.45 : 0.98;
    for (const { mesh, joint } of this.balls) mesh.scale.setScalar(this.skeleton.radii[joint] * share);
    for (const { mesh, beyond } of this.limbs) mesh.visible = !thin || !beyond;
  }

  pose(points: Float32Array): void {
    const { a, b, along } = this;
    for (const { mesh, joint } of this.balls) mesh.position.fromArray(points, joint * 3);
    for (const { mesh, from, to, beyond } of this.limbs) {
      a.fromArray(points, from * 3);
      b.fromArray(points, to * 3);
      along.subVectors(b, a);
      const length = Math.max(along.length(), 1e-4);
      along.divideScalar(length);
      mesh.quaternion.setFromUnitVectors(UP, along);
      if (beyond) mesh.position.copy(b).addScaledVector(along, beyond);
      else {
        mesh.position.copy(a);
        const thick = this.thin ? 0.22 : 1;
        mesh.scale.set(thick, length, thick);
      }
    }
    a.fromArray(points, this.skeleton.neck * 3);
    b.fromArray(points, this.skeleton.head * 3);
    along.subVectors(b, a).normalize();
    this.head.quaternion.setFromUnitVectors(UP, along);
    this.head.position.copy(b).addScaledVector(along, 0.055);
    const small = this.thin ? 0.4 : 1;
    this.head.scale.set(0.088 * small, 0.118 * small, 0.098 * small);
  }
}
