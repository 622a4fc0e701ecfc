"use strict";
// Bodies in WebGL: one person's most probable body and samples, turned by mouse, finger or keys.
class Viewer {
  constructor(canvas, data) {
    this.canvas = canvas;
    this.data = data;
    this.gl = canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
    if (!this.gl) return;
    this.program = this.makeProgram();
    this.buffers = {};
    for (const name of ["place", "normal", "colour", "faces"]) this.buffers[name] = this.gl.createBuffer();
    this.bodies = [];
    this.shown = "mode";
    this.sample = 1;
    this.front();
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  front() {
    this.yaw = 0;
    this.pitch = 0;
    this.zoom = 1;
    this.draw();
  }

  // The meshes of a person; their number.
  show(number) {
    const person = this.data.people[number];
    const places = new Int16Array(bytesOf(person.meshes));
    const size = places.length / person.count;
    this.faces = new Uint16Array(bytesOf(this.data.faces[person.body]));
    this.spread = person.spread ? new Uint8Array(bytesOf(person.spread)) : null;
    this.bodies = [];
    for (let body = 0; body < person.count; body++) {
      const mesh = new Float32Array(size);
      for (let i = 0; i < size; i++) mesh[i] = places[body * size + i] * this.data.step;
      this.bodies.push({ mesh, normals: normalsOf(mesh, this.faces) });
    }
    this.reach = 0;
    const mode = this.bodies[0].mesh;
    for (let i = 0; i < size; i += 3)
      this.reach = Math.max(this.reach, Math.hypot(mode[i], mode[i + 2]), Math.abs(mode[i + 1]));
    this.draw();
    return person.count;
  }

  draw() {
    const gl = this.gl;
    if (!gl || !this.bodies || !this.bodies.length) return;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(this.program);
    const scale = (0.92 * this.zoom) / this.reach;
    const side = Math.min(width, height);
    gl.uniform2f(this.at("scale"), (scale * side) / width, (scale * side) / height);
    gl.uniform1f(this.at("reach"), this.reach * 3);
    gl.uniformMatrix3fv(this.at("turn"), false, this.turn());
    this.fill(this.buffers.faces, this.faces, gl.ELEMENT_ARRAY_BUFFER);
    if (this.shown === "one") {
      this.drawBody(this.bodies[Math.min(this.sample, this.bodies.length - 1)], 1, null);
      return;
    }
    this.drawBody(this.bodies[0], 1, this.spread);
    if (this.shown !== "all") return;
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthMask(false);
    for (const body of this.bodies.slice(1)) this.drawBody(body, 0.22, null);
    gl.depthMask(true);
    gl.disable(gl.BLEND);
  }

  drawBody(body, opacity, spread) {
    const gl = this.gl;
    this.attribute("place", body.mesh);
    this.attribute("normal", body.normals);
    this.attribute("colour", this.colours(body.mesh.length, spread));
    gl.uniform1f(this.at("opacity"), opacity);
    gl.drawElements(gl.TRIANGLES, this.faces.length, gl.UNSIGNED_SHORT, 0);
  }

  colours(size, spread) {
    const colours = new Float32Array(size), ramp = this.data.ramp;
    for (let vertex = 0; vertex < size / 3; vertex++) {
      let colour = [0.72, 0.78, 0.9];
      if (spread) {
        const position = (spread[vertex] / 255) * (ramp.length - 1);
        const low = Math.min(Math.floor(position), ramp.length - 2);
        colour = ramp[low].map((c, i) => c + (ramp[low + 1][i] - c) * (position - low));
      }
      colours.set(colour, vertex * 3);
    }
    return colours;
  }

  // Column by column: about the vertical axis, then about the horizontal one.
  turn() {
    const [a, b] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    const [c, d] = [Math.cos(this.pitch), Math.sin(this.pitch)];
    return new Float32Array([a, d * b, -c * b, 0, c, d, b, -d * a, c * a]);
  }

  listen() {
    const canvas = this.canvas;
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      this.turnBy((event.clientX - from[0]) / 120, (event.clientY - from[1]) / 120);
      from = [event.clientX, event.clientY];
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (from = null));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 600));
    }, { passive: false });
    const keys = {
      ArrowLeft: () => this.turnBy(-0.15, 0), ArrowRight: () => this.turnBy(0.15, 0),
      ArrowUp: () => this.turnBy(0, -0.15), ArrowDown: () => this.turnBy(0, 0.15),
      "+": () => this.zoomBy(1.15), "-": () => this.zoomBy(1 / 1.15), Home: () => this.front(),
    };
    canvas.addEventListener("keydown", (event) => {
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
  }

  turnBy(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + pitch));
    this.draw();
  }

  zoomBy(factor) {
    this.zoom = Math.max(0.4, Math.min(8, this.zoom * factor));
    this.draw();
  }

  at(name) {
    return this.gl.getUniformLocation(this.program, name);
  }

  fill(buffer, values, target) {
    this.gl.bindBuffer(target, buffer);
    this.gl.bufferData(target, values, this.gl.DYNAMIC_DRAW);
  }

  attribute(name, values) {
    this.fill(this.buffers[name], values, this.gl.ARRAY_BUFFER);
    const place = this.gl.getAttribLocation(this.program, name);
    this.gl.enableVertexAttribArray(place);
    this.gl.vertexAttribPointer(place, 3, this.gl.FLOAT, false, 0, 0);
  }

  makeProgram() {
    const gl = this.gl, program = gl.createProgram();
    const sources = [
      [gl.VERTEX_SHADER, `
        attribute vec3 place, normal, colour;
        uniform mat3 turn; uniform vec2 scale; uniform float reach;
        varying vec3 shadeNormal, tint;
        void main() {
          vec3 seen = turn * place;
          shadeNormal = turn * normal;
          tint = colour;
          gl_Position = vec4(seen.xy * scale, -seen.z / reach, 1.0);
        }`],
      [gl.FRAGMENT_SHADER, `
        precision mediump float;
        uniform float opacity;
        varying vec3 shadeNormal, tint;
        void main() {
          vec3 normal = normalize(shadeNormal);
          if (!gl_FrontFacing) normal = -normal;
          float light = 0.42 + 0.58 * max(dot(normal, normalize(vec3(-0.35, 0.55, 0.76))), 0.0);
          gl_FragColor = vec4(tint * light, opacity);
        }`],
    ];
    for (const [kind, source] of sources) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return program;
  }
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

function normalsOf(mesh, faces) {
  const normals = new Float32Array(mesh.length);
  for (let face = 0; face < faces.length; face += 3) {
    const [a, b, c] = [faces[face] * 3, faces[face + 1] * 3, faces[face + 2] * 3];
    const u = [0, 1, 2].map((i) => mesh[b + i] - mesh[a + i]);
    const v = [0, 1, 2].map((i) => mesh[c + i] - mesh[a + i]);
    const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const corner of [a, b, c]) for (let i = 0; i < 3; i++) normals[corner + i] += normal[i];
  }
  return normals;
}
