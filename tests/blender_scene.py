"""Run by a Python that has bpy: imports a GLB, says where bones are, and renders one picture.

    python blender_scene.py MOTION.glb FPS PICTURE.png FRAME [FRAME ...]

Prints one line of JSON: frame_range, places {frame: {bone: [x, y, z]}}, vertices.
"""

from __future__ import annotations

import json
import sys

import bpy
from mathutils import Vector

BONES = ("pelvis", "left_wrist", "right_ankle", "head")


def main(path: str, fps: str, picture: str, *frames: str) -> None:
    """See above; frames are counted by Blender."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = int(fps)
    bpy.ops.import_scene.gltf(filepath=path)
    (armature,) = (thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    (action,) = bpy.data.actions
    places = {}
    for frame in frames:
        scene.frame_set(int(frame))
        bpy.context.view_layer.update()
        bones = armature.pose.bones
        places[frame] = {name: list(armature.matrix_world @ bones[name].head) for name in BONES}
    vertices = [len(t.data.vertices) for t in bpy.data.objects if t.type == "MESH" and t.parent]
    render(scene, Vector(places[frames[-1]]["pelvis"]), picture)
    print(json.dumps({"frame_range": list(action.frame_range), "places": places,
                      "vertices": max(vertices)}))  # fmt: skip


def render(scene: bpy.types.Scene, middle: Vector, picture: str) -> None:
    """One small picture from the front, by the processor alone."""
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location = middle + Vector((0.8, -3.2, 0.3))
    camera.rotation_euler = (middle - camera.location).to_track_quat("-Z", "Y").to_euler()
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3, (0.8, 0.2, 0.6)
    for thing in (camera, sun):
        scene.collection.objects.link(thing)
    scene.camera = camera
    scene.render.engine, scene.cycles.samples = "CYCLES", 4
    scene.render.film_transparent = True
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x, scene.render.resolution_y = 120, 160
    scene.render.filepath = picture
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
