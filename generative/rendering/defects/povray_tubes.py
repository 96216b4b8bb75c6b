"""Fibres by POV-Ray, the chapter's own tool: sphere sweeps, seen from above without perspective.

Two pictures are made: the fibre alone, whose alpha is the coverage, and the ground with its shadow. Its cubic splines leave out
their first and last segment; here a sweep is ``linear_spline`` through points close together.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from generative.rendering.defects.backends import Light, Rendering, Tube
from generative.rendering.defects.materials import Material

PROGRAM = "povray"
NUM_POINTS = 60
FAR = 1000.0
SECONDS = 120


def render(tube: Tube, material: Material, light: Light, shape: tuple[int, int]) -> Rendering:
    """See :class:`generative.rendering.defects.backends.Renderer`."""
    if shutil.which(PROGRAM) is None:
        raise ValueError(
            "the renderer povray needs the program povray, which is not installed: install your system's package povray, or "
            "take --renderer numpy"
        )
    fibre = sweep(tube, material)
    alone = picture(fibre, light, shape)
    ground = "plane { z, 0 pigment { rgb 1 } finish { ambient 0 diffuse 1 } }\n"
    shaded = picture(f"object {{ {fibre} no_image }}\n{ground}", light, shape)
    plain = picture(ground, light, shape)
    coverage = alone[..., 3]
    colour = alone[..., :3]
    if len(material.colour) == 1:
        colour = colour.mean(axis=2, keepdims=True)
    lit = shaded[..., :3].mean(axis=2) / np.maximum(plain[..., :3].mean(axis=2), 1e-6)
    return Rendering(colour, coverage, (light.shadow * (1 - lit).clip(0, 1)).astype(np.float32))


def sweep(tube: Tube, material: Material) -> str:
    """The fibre in POV-Ray's language; its x is to the right, y down and z towards the viewer, as ours."""
    chosen = np.linspace(0, len(tube.radii) - 1, min(NUM_POINTS, len(tube.radii))).round().astype(int)
    points = ", ".join(
        f"<{x:.4f},{y:.4f},{z:.4f}>, {radius:.4f}"
        for (x, y, z), radius in zip(tube.centres[chosen], tube.radii[chosen], strict=True)
    )
    colour = material.colour if len(material.colour) == 3 else material.colour * 3
    finish = (
        f"ambient {material.ambient:.3f} diffuse {material.diffuse:.3f} phong {material.specular:.3f} "
        f"phong_size {material.shininess:.1f}"
    )
    pigment = f"pigment {{ rgb <{','.join(f'{part:.4f}' for part in colour)}> }}"
    return f"sphere_sweep {{ linear_spline {len(chosen)}, {points} tolerance 0.001 {pigment} finish {{ {finish} }} }}"


def picture(objects: str, light: Light, shape: tuple[int, int]) -> np.ndarray:
    """[H, W, 4] from 0 to 1: colour and alpha."""
    height, width = shape
    x, y = (width - 1) / 2, (height - 1) / 2
    towards = FAR * np.asarray(light.direction)
    # Rows of an image run along y, so the camera's up is -y; it looks along -z.
    scene = f"""#version 3.7;
global_settings {{ assumed_gamma 1.0 ambient_light rgb 1 }}
camera {{ orthographic location <{x},{y},{FAR}> direction <0,0,-1> up <0,{-height},0> right <{width},0,0> }}
light_source {{ <{x + towards[0]},{y + towards[1]},{towards[2]}> rgb 1 parallel point_at <{x},{y},0> }}
{objects}"""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "scene.pov").write_text(scene)
        command = [
            PROGRAM, "+Iscene.pov", "+Oscene.png", f"+W{width}", f"+H{height}", "+UA", "+A0.05", "+AM2", "+R3", "-D",
            "-GA", "+WT1", "File_Gamma=1.0",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        result = Path(folder) / "scene.png"
        if done.returncode or not result.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ValueError(f"the renderer povray failed ({last}): run it once by hand, or take --renderer numpy")
        with Image.open(result) as opened:
            return np.asarray(opened.convert("RGBA"), dtype=np.float32) / 255
