"""The GPU's checks, run on the CPU with a model of milliseconds: each can pass, and each can fail."""

import json
from dataclasses import replace

import pytest
import torch

from sdilib.cli import main
from sdilib.lab import gpu_check
from sdilib.lab.gpu_check import (
    Check,
    check_gpu,
    check_half,
    check_hash_grid,
    check_render,
    summary,
)
from sdilib.lab.guidance_profile import DEVIATION, SPREAD, STRENGTH
from sdilib.nerf import hash_grid
from sdilib.stable_diffusion import StableDiffusion
from sdilib.storage import read_json

CPU = torch.device("cpu")
NEEDS_CUDA = {"render, nerfacc", "render within, nerfacc", "hash grid, tinycudann"}
MEASURED = {"step", "guidance"}
SMALL = {"num_samples": 16, "log2_table_size": 10}


@pytest.fixture(scope="module")
def record():
    with pytest.warns(RuntimeWarning, match="backend='tinycudann' needs .* a CUDA device"):
        return check_gpu("cpu", size=16, model="tiny", **SMALL)


def test_all_that_applies_on_a_cpu_passes(record):
    verdicts = {check["name"]: check["passed"] for check in record["checks"]}
    unjudged = NEEDS_CUDA | MEASURED
    assert {name for name, passed in verdicts.items() if passed is None} == unjudged
    assert all(passed for name, passed in verdicts.items() if name not in unjudged)
    assert record["device"] == "cpu"
    assert torch.__version__.startswith(record["versions"]["torch"])  # or with its build, +cpu
    json.dumps(record, allow_nan=False)


def test_a_step_is_timed_and_its_memory_unknown_on_a_cpu(record):
    (step,) = (check["numbers"] for check in record["checks"] if check["name"] == "step")
    # t = 0.98: nine steps of inversion up to t + tau, or ten, and one with two negatives.
    assert 2 * 9 + 4 <= step["sample_forwards"] <= 2 * 10 + 4
    assert 0 < step["unet_seconds"] < step["seconds"]
    assert step["peak_gib"] is None
    assert 0 < step["foreseen_gib"] < 1
    assert (step["moonshot_gib"], step["aim_gib"], step["paper_gib"]) == (8.0, 12.0, 39.2)


def test_a_step_is_of_the_papers_settings_with_all_levels_of_the_grid(monkeypatch):
    asked = []
    monkeypatch.setattr(gpu_check.Text3D, "build", lambda self, _: asked.append(self) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gpu_check.check_step(CPU, size=16, model="tiny")
    (run,) = asked
    assert (run.distance, run.radius, run.perp_neg) == ((1.5, 2.0), 2.0, 1.0)
    assert (run.levels, run.log2_table_size, run.num_samples) == (16, 19, 296)
    assert run.rule_settings["entropy"] == 0.3
    assert run.progressive_share == 0.0


def test_what_guidance_does_is_a_table_of_400_sample_forwards(record, monkeypatch):
    (found,) = (check for check in record["checks"] if check["name"] == "guidance")
    assert list(found["numbers"]) == ["t", STRENGTH, SPREAD, DEVIATION]
    assert all(len(row) == 10 for row in found["numbers"].values())
    assert "random weights" in found["note"]
    model = StableDiffusion.from_pretrained("tiny")
    monkeypatch.setattr(gpu_check.StableDiffusion, "from_pretrained", lambda *_, **__: model)
    again = gpu_check.check_guidance(CPU, model="tiny")
    assert model.num_forwards == 400
    assert again.numbers == found["numbers"]


def test_the_summary_says_each_verdict(record):
    lines = summary(record)
    assert len(lines) == 1 + len(record["checks"]) + 4
    assert any(line.startswith("passed   render, table: image ") for line in lines)
    lacks = "ModuleNotFoundError: No module named 'tinycudann'"
    assert f"left out hash grid, tinycudann: {lacks}" in lines
    assert any(
        line.startswith("measured step: ") and "peak_gib not known" in line for line in lines
    )
    assert lines[-4].split() == ["t", *(f"{k / 10:g}" for k in range(1, 11))]
    assert lines[-1].strip().startswith("std of κ ")


@pytest.mark.parametrize("distance", [gpu_check._OUTSIDE, gpu_check._WITHIN])
def test_another_image_fails_the_render(monkeypatch, distance):
    seen = gpu_check._seen

    def coarser(nerf, marcher, rays_per_patch=None, **where):
        marcher = replace(marcher, num_samples=60) if rays_per_patch else marcher
        return seen(nerf, marcher, rays_per_patch, **where)

    monkeypatch.setattr(gpu_check, "_seen", coarser)
    found = check_render(CPU, packed=False, distance=distance)
    assert found.passed is False
    assert found.numbers["image"] > found.numbers["image_tolerance"]


def test_a_grid_whose_patches_have_other_gradients_fails(monkeypatch):
    assert gpu_check._patched(gpu_check._field()).passed is True

    def doubled(render_rays, *rays, rays_per_patch):
        seen = render_rays(*rays)
        return replace(seen, colour=2 * seen.colour - seen.colour.detach())

    monkeypatch.setattr("sdilib.nerf.render.in_patches", doubled)
    found = gpu_check._patched(gpu_check._field())
    assert found.passed is False
    assert found.numbers["image"] <= found.numbers["image_tolerance"]


def test_other_values_fail_the_hash_grid(monkeypatch):
    reference = hash_grid._reference
    monkeypatch.setattr(hash_grid, "_reference", lambda *given: 1.001 * reference(*given))
    assert check_hash_grid(CPU, backend="torch").passed is False
    assert check_hash_grid(CPU).passed is True


def test_half_precision_differs_a_little():
    found = check_half(CPU)
    assert found.passed is True
    assert 0 < found.numbers["unet"] < found.numbers["tolerance"]


def test_numbers_that_are_not_finite_fail(monkeypatch):
    answers = gpu_check._answers

    def broken(model):
        found = answers(model)
        if next(model._vae.parameters()).dtype == torch.float16:
            found["gradient"] = found["gradient"] * float("inf")
        return found

    monkeypatch.setattr(gpu_check, "_answers", broken)
    assert check_half(CPU).passed is False


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_a_check_that_breaks_down_has_failed_and_stops_no_other(kind):
    def broken():
        raise kind("CUDA error:\n an illegal memory access")

    found = gpu_check._attempt(broken)
    assert found == Check(False, note=f"{kind.__name__}: CUDA error: an illegal memory access")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"size": 0}, "size=0: expected an integer of at least 1"),
        ({"model": "no model"}, "model='no model': expected mini, tiny"),
        ({"num_samples": 0}, "num_samples=0: expected an integer of at least 1"),
    ],
)
def test_bad_input_is_refused_before_any_check(given, expected, monkeypatch):
    monkeypatch.setattr(gpu_check, "_attempt", lambda _: pytest.fail("checked"))
    with pytest.raises(ValueError, match=expected):
        check_gpu("cpu", **given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is so without a CUDA device")
def test_without_a_cuda_device_one_sentence_is_said_and_nothing_written(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["gpu-check"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("sdilib: device='cuda': expected one that torch ")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"device='cuda': expected one that torch .* sees"):
        check_gpu()


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (None, 0), (False, 1)])
def test_the_command_writes_the_record_and_its_code_is_the_verdict(
    passed, code, tmp_path, monkeypatch, capsys
):
    check = {"name": "step", "passed": passed, "numbers": {"seconds": 1.5}, "note": ""}
    made = {"device": "a GPU", "versions": {}, "checks": [check]}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu_check, "check_gpu", lambda **settings: made | {"settings": settings})
    out = tmp_path / "new" / "record.json"
    assert main(["gpu-check", "--out", str(out), "--size", "256"]) == code
    assert read_json(out)["settings"] == {"size": 256, "model": "sd21"}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "a GPU"
    assert "step: seconds 1.5" in said[1]
    assert said[-1] == str(out)
