// The ground: a grid of half metres that fades with distance, and the shadow on it.

import * as THREE from "three";

const VERTEX = `
varying vec2 at;
void main() {
  vec4 world = modelMatrix * vec4(position, 1.0);
  at = world.xz;
  gl_Position = projectionMatrix * viewMatrix * world;
}`;

const FRAGMENT = `
varying vec2 at;
uniform vec2 centre;
uniform float reach;
uniform vec3 tint;
uniform float strength;
float lines(vec2 p) {
  vec2 width = fwidth(p);
  vec2 near = abs(fract(p - 0.5) - 0.5) / max(width, vec2(1e-6));
  vec2 line = (1.0 - min(near, 1.0)) * (1.0 - smoothstep(0.25, 0.6, width));
  return max(line.x, line.y);
}
void main() {
  float fade = 1.0 - smoothstep(0.25 * reach, reach, distance(at, centre));
  float grid = max(0.45 * lines(at * 2.0), lines(at));
  gl_FragColor = vec4(tint, grid * fade * strength);
  #include <colorspace_fragment>
}`;

export class Floor {
  readonly group = new THREE.Group();
  private readonly material: THREE.ShaderMaterial;
  private readonly shadow: THREE.ShadowMaterial;
  private readonly grid: THREE.Mesh;

  constructor() {
    this.material = new THREE.ShaderMaterial({
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      transparent: true,
      depthWrite: false,
      uniforms: {
        centre: { value: new THREE.Vector2() },
        reach: { value: 6 },
        tint: { value: new THREE.Color() },
        strength: { value: 1 },
      },
    });
    this.shadow = new THREE.ShadowMaterial({ transparent: true, depthWrite: false });
    this.grid = new THREE.Mesh(new THREE.CircleGeometry(1, 48).rotateX(-Math.PI / 2), this.material);
    this.grid.renderOrder = -2;
    // only as large as the light's shadow, because every pixel costs a texture lookup
    const catcher = new THREE.Mesh(new THREE.CircleGeometry(2.6, 32).rotateX(-Math.PI / 2), this.shadow);
    catcher.receiveShadow = true;
    catcher.renderOrder = -1;
    this.group.add(this.grid, catcher);
  }

  colour(tint: string, strength: number, shadow: number): void {
    (this.material.uniforms.tint.value as THREE.Color).set(tint);
    this.material.uniforms.strength.value = strength;
    this.shadow.opacity = shadow;
  }

  place(x: number, height: number, z: number, reach: number): void {
    this.group.position.set(x, height, z);
    this.grid.scale.set(reach, 1, reach);
    (this.material.uniforms.centre.value as THREE.Vector2).set(x, z);
    this.material.uniforms.reach.value = reach;
  }
}
