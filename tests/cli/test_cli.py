"""The command line: bad input is one sentence and exit code 2, and writes nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from made_up import RULE
from PIL import Image

import sdilib.stable_diffusion
from sdilib.cli import main
from sdilib.cli.figures import PROMPTS_OF_A_CLAIM
from sdilib.lab import runs
from sdilib.lab.claims import MINIMUM_N
from sdilib.lab.methods import METHODS
from sdilib.lab.paper_settings import OFFICIAL_2D
from sdilib.lab.runs import exporting, folders, making
from sdilib.storage import load_tensors
from sdilib.text_to_image import Text2D

ROOT = Path(sdilib.__file__).parents[1]
CONFIG = {"prompt": "a red mug", "rule": "sdi", "steps": 2, "model_hash": "0"}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("rule", ["sdi", "sds", "ism", "mine.py", "mine.py:Mine"])
def test_an_image_is_a_run_like_any_other(rule, tmp_path, capsys):
    Path("mine.py").write_text(RULE)
    words = ["run", "--scene", "image", "--prompt", "a red mug", "--rule", rule]
    words += ["--model", "tiny", "--preset", "smoke"]
    assert main(words) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert capsys.readouterr().out == f"runs/{folder.name}/image.png\n"
    with Image.open(folder / "image.png") as image:
        assert image.size == (16, 16)
    written = (folder / "scene.safetensors").stat().st_mtime_ns
    assert main(words) == 0
    assert (folder / "scene.safetensors").stat().st_mtime_ns == written
    capsys.readouterr()
    assert main(["runs"]) == 0
    steps = "4/4" if rule in ("sds", "ism") else "3/3"
    assert f"{folder.name}  done  {steps} steps" in capsys.readouterr().out
    image = (folder / "image.png").read_bytes()
    (folder / "image.png").unlink()
    assert main(["runs", "export", folder.name]) == 0
    assert (folder / "image.png").read_bytes() == image
    capsys.readouterr()
    assert main(["runs", "show", folder.name]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["config"]["scene"], shown["config"]["rule"]) == ("image", rule)
    assert main(["runs", "remove", folder.name]) == 0
    assert not folder.exists()


def test_an_edited_rule_is_another_run_and_the_old_one_is_still_exported(tmp_path, monkeypatch):
    Path("mine.py").write_text(RULE)
    words = "run --scene image --prompt mug --model tiny --preset smoke --rule mine.py".split()
    assert main(words) == 0
    (first,) = (tmp_path / "runs").iterdir()
    Path("mine.py").write_text(RULE.replace("3.0", "4.0"))
    assert main(words) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2
    image = (first / "image.png").read_bytes()
    (first / "image.png").unlink()
    monkeypatch.setattr(making, "_make", lambda *_: pytest.fail("made again"))
    assert main(["runs", "export", first.name]) == 0
    assert (first / "image.png").read_bytes() == image


def test_settings_of_images_and_rules_are_set_by_name(tmp_path):
    Path("mine.py").write_text(RULE)
    words = "run --scene image --prompt mug --model tiny --preset smoke".split()
    given = ["kappa=gradient descent", "descent_rate=0.2", "num_inversion_steps=2", "t_end=0.1"]
    assert main([*words, "--set", *given]) == 0
    assert main([*words, "--rule", "mine.py", "--guidance-scale", "2", "--set", "loud=false"]) == 0
    made = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/config.json")]
    configs = {config["rule"]: runs.config_of(config) for config in made}
    settings = {"kappa": "gradient descent", "descent_rate": 0.2, "num_inversion_steps": 2}
    settings |= {"guidance_scale": 3.0}  # what the bundled model is sampled with
    own = {"steps": 3, "t_end": 0.1, "start_guidance_scale": 3.0}
    sdi = Text2D("mug", model="tiny", rule_settings=settings, **own)
    assert configs["sdi"] == sdi
    assert configs["mine.py"].rule_settings == {"guidance_scale": 2.0, "loud": False}


@pytest.mark.parametrize("name", ["SDS", "ISM", "CFD", "SDI"])
@pytest.mark.parametrize("scene", ["image", "nerf"])
def test_a_published_method_is_run_as_in_table_1(tmp_path, monkeypatch, scene, name):
    method, made = METHODS[name], []
    monkeypatch.setattr("sdilib.lab.runs.distilled", lambda config, **how: made.append(config))
    words = f"run --scene {scene} --prompt mug --model tiny --preset smoke --rule {method.rule}"
    with pytest.raises(AttributeError, match="diverged"):  # nothing was made
        main(words.split())
    settings = made[0].settings()
    assert settings.items() >= method.settings(scene, 3.0, settings["steps"]).items()


def test_the_published_codes_variant_of_an_image_is_its_notebook(tmp_path):
    words = "run --scene image --prompt mug --model tiny --preset smoke --variant official".split()
    assert main([*words, "--guidance-scale", "3"]) == 0
    (path,) = tmp_path.glob("runs/*/config.json")
    config = json.loads(path.read_text())
    assert config.items() >= (OFFICIAL_2D | {"guidance_scale": 3.0}).items()
    assert config["inversion_start"] == 0  # not the bundled model's


def test_inversions_of_the_bundled_models_images_begin_later_where_there_are_any(tmp_path):
    words = "run --scene image --prompt mug --model tiny --preset smoke".split()
    assert main(words) == main([*words, "--set", "kappa=random"]) == 0
    assert main([*words, "--rule", "sds"]) == main([*words, "--set", "inversion_start=0"]) == 0
    configs = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/config.json")]
    begun = defaultdict(list)
    for each in configs:
        begun[each["rule"], each.get("kappa")].append(each.get("inversion_start"))
    assert begun.pop(("sds", None)) == [None]
    assert begun.pop(("sdi", "random")) == [None]
    assert sorted(begun.pop(("sdi", "inversion"))) == [0.0, 0.1]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("csd", {"steps": 4, "t_schedule": "lowered", "learning_rate": 0.1}),
        ("hifa", {"steps": 4, "t_schedule": "sqrt", "learning_rate": 0.1}),
        ("pfd", {"steps": 3, "t_schedule": "linear", "learning_rate": 0.0}),
    ],
)
def test_every_rule_of_the_library_is_run_by_name(rule, expected, tmp_path):
    words = "run --scene image --prompt mug --model tiny --preset smoke --rule".split()
    assert main([*words, rule]) == 0
    (path,) = tmp_path.glob("runs/*/config.json")
    assert json.loads(path.read_text()).items() >= expected.items()


def test_the_preset_of_a_run_is_the_models(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("sdilib.lab.presets.resolve", lambda *of, **_: asked.append(of[1]) or {}[0])
    Path("another").mkdir()
    for words in ("", "--model mini", "--model tiny", "--model another", "--model some/one"):
        with pytest.raises(KeyError):
            main(["run", "--prompt", "a red mug", *words.split()])
    with pytest.raises(KeyError):
        main(["run", "--prompt", "a red mug", "--model", "another", "--preset", "laptop"])
    assert asked == ["laptop"] * 3 + ["gpu"] * 2 + ["laptop"]


SMALL = "--model tiny --preset smoke --set size=16 levels=4 finest_resolution=16".split()


IMAGE = [*SMALL[:4], "--scene", "image"]


@pytest.mark.parametrize("rule", ["sdi", "sds", "ism", "mine.py"])
def test_a_3d_run_is_made_found_listed_exported_and_removed(rule, tmp_path, capsys):
    Path("mine.py").write_text(RULE)
    words = ["run", "--prompt", "a red mug", "--rule", rule, *SMALL]
    assert main(words) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    said = capsys.readouterr().out.splitlines()
    assert said == [f"runs/{folder.name}/views.png", f"runs/{folder.name}/turntable.gif"]
    written = (folder / "scene.safetensors").stat().st_mtime_ns
    assert main(words) == 0
    assert (folder / "scene.safetensors").stat().st_mtime_ns == written
    capsys.readouterr()
    assert main(["runs"]) == 0
    listed = capsys.readouterr().out
    assert f"{folder.name}  done  2/2 steps" in listed
    assert "\n1 run, " in listed
    assert main(["runs", "export", folder.name]) == 0
    for name in ("turntable.mp4", "mesh.glb", "mesh.obj", "mesh.ply", "mesh.html"):
        assert (folder / name).stat().st_size > 0
    capsys.readouterr()
    assert main(["runs", "show", folder.name[:-4]]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["config"]["rule"] == rule
    assert main(["runs", "remove", folder.name]) == 0
    assert capsys.readouterr().out == f"removed {folder.name}\n"
    assert not folder.exists()


def test_what_can_be_exported_is_and_the_rest_is_one_sentence(tmp_path, capsys):
    assert main(["run", "--prompt", "a red mug", "--rule", "sds", *SMALL]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    for path in folder.glob("*.[gp][in][fg]"):
        path.unlink()
    capsys.readouterr()
    assert main(["runs", "export", folder.name, "--density", "-1"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "sdilib: density=-1.0: expected a number in (0, 1e+09]\n")
    assert main(["runs", "export", folder.name, "--density", "1e6"]) == 2
    said = capsys.readouterr()
    names = ["views.png", "turntable.gif", "turntable.mp4"]
    assert said.out.splitlines() == [f"runs/{folder.name}/{name}" for name in names]
    assert said.err.startswith("sdilib: density=1000000.0: expected a number between ")
    assert not (folder / "mesh.glb").exists()
    words = ["--density", "2", "--resolution", "16", "--size", "3", "--crumbs"]
    broken = shutil.copytree(folder, folder.with_name("broken"))
    (broken / "done.json").unlink()
    assert main(["runs", "export", *words, "broken", folder.name]) == 2  # but the other is written
    assert "names='broken': expected a finished run, not" in capsys.readouterr().err
    shutil.rmtree(broken)
    vertices = [
        line.split()[1:4]
        for line in (folder / "mesh.obj").read_text().splitlines()
        if line[:2] == "v "
    ]
    points = [[float(x) for x in each] for each in vertices]
    assert max(max(axis) - min(axis) for axis in zip(*points, strict=True)) == pytest.approx(3.0)


def test_words_may_come_after_options_and_numbers_may_have_exponents(tmp_path, capsys):
    words = "run --scene image --prompt mug --model tiny --preset smoke".split()
    assert main([*words, "--inversion-guidance-scale", "-1e1"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "config.json").read_text())["inversion_guidance_scale"] == -10.0
    capsys.readouterr()
    for words in (["show", "--root", "runs", folder.name], ["--root", "runs", "show", folder.name]):
        assert main(["runs", *words]) == 0
        assert json.loads(capsys.readouterr().out)[0]["name"] == folder.name


@pytest.mark.parametrize("scene", ["nerf", "image"])
def test_a_negative_prompt_changes_the_run_and_is_a_setting_of_it(scene, tmp_path):
    words = ["run", "--prompt", "a red mug", *SMALL[:4], "--scene", scene]
    words += ["--rule", "sds", *(SMALL[4:] if scene == "nerf" else [])]
    for negative in ("", "a blue mug"):
        assert main([*words[:3], "--negative-prompt", negative, *words[3:]]) == 0
    made = {
        json.loads(path.read_text())["negative_prompt"]: path.parent
        for path in tmp_path.glob("runs/*/config.json")
    }
    assert made.keys() == {"", "a blue mug"}
    scenes = [load_tensors(folder / "scene.safetensors") for folder in made.values()]
    assert any(not torch.equal(scenes[0][name], scenes[1][name]) for name in scenes[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sdi-a", "expected the beginning of one run's name, not of several: sdi-a-1, sdi-a-2"),
        ("sdi-b-", "expected the beginning of one run's name, not of several: sdi-b-3, sdi-b-33"),
        ("sid-a", "expected one of the runs in runs, such as sdi-a-1, sdi-a-2, sdi-b-3, sdi-b-33"),
        ("zzz", "expected one of the runs in runs"),
        ("", "expected one of the runs in runs"),
    ],
)
def test_a_beginning_names_a_run_if_it_is_of_one_only(given, message, tmp_path, capsys):
    for name in ("sdi-a-1", "sdi-a-2", "sdi-b-3", "sdi-b-33"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text(json.dumps(CONFIG))
    assert main(["runs", "remove", "sdi-b-3", given]) == 2
    assert capsys.readouterr().err == f"sdilib: names='{given}': {message}\n"
    assert main(["runs", "remove", "sdi-b-3", "sdi-b-33"]) == 0  # the whole name is that run's
    assert main(["runs", "remove", "unfinished"]) == 0
    said = "removed sdi-b-3\nremoved sdi-b-33\nremoved sdi-a-1\nremoved sdi-a-2\n"
    assert capsys.readouterr().out == said
    assert main(["runs", "remove", "unfinished"]) == 0
    assert capsys.readouterr().out == "no unfinished run in runs\n"


def test_runs_are_listed_by_words_of_what_they_are(tmp_path, capsys):
    for rule in ("sdi", "sds"):
        (tmp_path / "runs" / rule).mkdir(parents=True)
        config = CONFIG | {"rule": rule}
        (tmp_path / "runs" / rule / "config.json").write_text(json.dumps(config))
    assert main(["runs", "list", "SDS", f"steps={CONFIG['steps']}"]) == 0
    listed, total = capsys.readouterr().out.splitlines()
    assert listed.startswith("sds  unfinished  ")
    assert total == "1 of 2 runs, 0.0 MiB in runs"


def test_a_training_beside_the_runs_is_none_of_them(tmp_path, capsys):
    kept = tmp_path / "runs" / "unet" / "config.json"
    kept.parent.mkdir(parents=True)
    for config in ('{"steps": 10}', "[1]"):
        kept.write_text(config)
        assert main(["runs"]) == 0
        assert capsys.readouterr().out.startswith("0 runs, ")
        assert main(["runs", "remove", "unfinished"]) == 0
        assert capsys.readouterr().out == "no unfinished run in runs\n"
        assert main(["runs", "remove", "unet"]) == 2
        assert kept.is_file()


def test_where_there_are_no_runs_it_says_where_the_examples_are(tmp_path, capsys):
    assert main(["runs"]) == 0
    told = capsys.readouterr().out.partition("finished examples: sdilib ")[2]
    assert main(told.split()) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("3 runs, ")


def test_a_run_that_a_process_works_on_is_left_and_the_others_removed(
    tmp_path, capsys, monkeypatch
):
    for name in ("sdi-a-1", "sdi-b-2", "sdi-b-3", "sdi-b-4"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text(json.dumps(CONFIG))
    looked, known = [], folders.known_runs
    monkeypatch.setattr(folders, "known_runs", lambda root: looked.append(root) or known(root))
    with FileLock(tmp_path / "runs" / "sdi-b-2" / ".lock"):
        assert main(["runs", "remove", "unfinished"]) == 0
        left = "left: run='sdi-b-2': expected a run that no process is working on\n"
        removed = [f"removed sdi-{name}\n" for name in ("a-1", "b-3", "b-4")]
        assert capsys.readouterr().out == removed[0] + left + removed[1] + removed[2]
        assert len(looked) == 2  # before and after the one that is left: the folder may be large
        assert main(["runs", "remove", "sdi-b-2"]) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model_hash": "other"}, "model='tiny': expected the weights that the run was made with"),
        ({"depth": 3}, "expected a run with the settings of this version"),
    ],
)
def test_an_image_of_other_weights_or_settings_is_not_made_again_for_an_export(
    changed, message, tmp_path, capsys, monkeypatch
):
    assert main(["run", "--prompt", "a red mug", "--rule", "sds", *IMAGE]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changed))
    monkeypatch.setattr(making, "_make", lambda *_: pytest.fail("made again"))
    capsys.readouterr()
    assert main(["runs"]) == 0
    assert ("settings of an older version" in capsys.readouterr().out) == ("depth" in changed)
    assert main(["runs", "export", folder.name]) == 2
    assert message in capsys.readouterr().err


def ctrl_c(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)
    return {}


def ctrl_c_twice(*_, **__):
    ctrl_c()
    ctrl_c()


@pytest.mark.parametrize(
    ("patched", "name", "words", "message"),
    [
        (making, "_keep_frame", SMALL, "stopped after step 1 of 2; the same command goes on "),
        (making, "_keep_frame", IMAGE, "stopped after step 2 of 3; the same command goes on "),
        (exporting, "turntable", SMALL, "stopped; the run is saved: "),
        (exporting, "png_bytes", IMAGE, "stopped; the run is saved: "),
        (Text2D, "build", IMAGE, "stopped; nothing was saved\n"),
    ],
)
def test_ctrl_c_is_one_sentence(patched, name, words, message, monkeypatch, capsys):
    monkeypatch.setattr(patched, name, ctrl_c)
    assert main(["run", "--prompt", "a red mug", *words]) == 130
    assert f"sdilib: {message}" in capsys.readouterr().err


def test_a_second_ctrl_c_is_one_sentence_too(monkeypatch, capsys):
    monkeypatch.setattr(making, "_keep_frame", ctrl_c_twice)
    assert main(["run", "--prompt", "a red mug", *SMALL]) == 130
    said = "stopped within a step; the same command goes on from the last checkpoint"
    assert said in capsys.readouterr().err


def test_ctrl_c_of_another_command_claims_nothing_about_what_it_kept(monkeypatch, capsys):
    monkeypatch.setattr(runs, "known_runs", ctrl_c)
    assert main(["runs"]) == 130
    assert capsys.readouterr().err == "sdilib: stopped\n"


def test_a_range_is_two_numbers(tmp_path):
    words = ["run", "--prompt", "a red mug", "--rule", "sds", *SMALL, "elevation_degrees=0,45"]
    assert main(words) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "config.json").read_text())["elevation_degrees"] == [0.0, 45.0]
    assert main(["runs", "export", folder.name]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: command"),
        ("runs burn", "action='burn': expected one of list, show, export, remove"),
        ("runs show", "names='': expected at least one run's name"),
        ("runs remove x", "names='x': expected one of the runs in runs"),
        ("run --prompt x --scene mesh", "scene='mesh': expected one of nerf, image"),
        ("run --prompt x --set size", "set='size': expected name=value"),
        ("run --prompt x --set sise=1", "set='sise': expected one of"),
        ("run --prompt x --set size=big", "size='big': expected a value of type int"),
        ("run --prompt x --set distance=far", "distance='far': expected two numbers, as in 0,45"),
        (
            "run --prompt x --set distance=1",
            "distance=(1.0,): expected two numbers in (0.61, 1000]",
        ),
        ("run --prompt x --model tiny --set size=17", "size=17: expected a multiple of"),
        ("rum", "invalid choice: 'rum'"),
        ("ruin", "; did you mean run?\n"),
        ("checkfigures x", "; did you mean check-figures?\n"),
        ("run --prompt x --seeds 3", "arguments: --seeds 3; did you mean --seed?\n"),
        ("run", "required: --prompt"),
        ("run --prompt x --sed 1", "unrecognized arguments: --sed"),
        ("run --prompt= --rule sdi", "prompt='': expected a text with at least one word"),
        ("runs --root no/such", "root='no/such': expected an existing folder"),
        ("run --prompt x --rule sdx", "rule='sdx': expected one of sdi, sds, ism, "),
        ("run --prompt x --preset big", "preset='big': expected one of smoke, laptop, full, gpu"),
        (
            "run --prompt x --preset gpu",
            "model='stabilityai/stable-diffusion-2-1-base': expected another, as make figures PRESET=gpu MODEL=",
        ),
        ("stale --preset gpu", "its owner has withdrawn this one from the hub; README says where"),
        (
            "run --prompt x --variant offical",
            "variant='offical': expected one of paper, official; did you mean official?",
        ),
        (
            "run --prompt x --rule sds --variant official",
            "variant='official': expected paper for rule sds: the published code is of sdi",
        ),
        ("run --prompt x --steps many", "--steps: 'many': expected an integer"),
        ("run --prompt x --steps -1", "steps=-1: expected an integer of at least 0"),
        ("run --prompt x --seed -1", "seed=-1: expected an integer of at least 0"),
        ("run --scene image --prompt x --seed -1", "seed=-1: expected an integer of at least 0"),
        ("run --prompt x --model tiny --set seed=-1", "seed=-1: expected an integer of at least"),
        ("run --prompt x --guidance-scale nan", "guidance_scale=nan: expected a finite number"),
        ("run --prompt x --inversion-guidance-scale inf", "inversion_guidance_scale=inf"),
        (
            "run --prompt x --rule sds --inversion-guidance-scale 0",
            "'inversion_guidance_scale': expected one that rule sds reads: guidance_scale, weight",
        ),
        (
            "run --prompt x --scene image --set size=8",
            "set='size': expected one of prompt, model, precision, rule",
        ),
        ("run --prompt x --rule mine.py", "rule='mine.py': expected an existing file"),
        ("run --prompt x --rule my.rules:Mine", "rule='my.rules:Mine': expected a module that can"),
        ("run --prompt x --model tiny --set entropy=-1", "entropy=-1.0: expected a number of at"),
        ("run --prompt x --set unit=maybe", "unit='maybe': expected a value of type bool"),
        ("run --prompt x --scene image --steps 1", "steps=1: expected an integer of at least 2"),
        ("runs show x --density 3", "action='show': expected export, which alone takes --density"),
        ("runs export x --resolution fine", "--resolution: 'fine': expected an integer"),
        ("run --prompt x --model tiny --device meta", "device='meta': expected a device"),
        ("runs show x --rot y", "unrecognized arguments: --rot y; did you mean --root?\n"),
        ("run x --prompt y", "unrecognized arguments: x"),
        ("run --prompt x --model nonsense", "model='nonsense': expected mini, tiny"),
        ("run --prompt x --model tiny --device tpu9", "device='tpu9': expected a device"),
        ("gpu-check --size 0", "size=0: expected an integer of at least 1"),
        ("notebook fig99", "notebook='fig99': expected one of none"),
        ("notebook fig99 steps", "parameters='steps': expected name=value"),
        ("notebook fig99 --model tiny", "folder='': expected a folder, so that"),
        ("grade a.py --seconds 3 b.py", "notebook='a.py': expected an existing"),
        ("grade none.ipynb", "notebook='none.ipynb': expected an existing .py or .ipynb file"),
        ("gallery nowhere", "folder='nowhere': expected a folder of figures"),
        ("check-figures nowhere", "folder='nowhere': expected a folder of figures"),
        ("check-figures --preset laptob", "preset='laptob': expected one of smoke, laptop"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(words, message, tmp_path, capsys):
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_number_of_threads_is_a_setting(monkeypatch, capsys):
    monkeypatch.setenv("SDILIB_THREADS", "none")
    assert main(["gallery", "."]) == 2
    assert "SDILIB_THREADS='none': expected an integer of at least 1" in capsys.readouterr().err
    for name in ("MKL", "NUMBA", "OMP", "OPENBLAS"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "7")
    monkeypatch.setenv("SDILIB_THREADS", "2")
    main(["gallery", "nowhere"])
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_bad_arguments_are_refused_without_importing_torch():
    code = (
        "import sys; from sdilib.cli import main\n"
        "assert main(['run', '--prompt', 'x', '--seed', '-1']) == 2\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0
    )


def test_every_option_of_run_says_what_it_is_and_its_default(capsys):
    assert main(["run", "--help"]) == 0
    options = re.split(r"\n  (?=-)", capsys.readouterr().out)[1:]
    said = {words[0].strip(","): " ".join(words[1:]) for words in map(str.split, options)}
    defaults = {
        "--prompt": "",
        "--seed": "0 (default)",
        "--variant": "paper (default), or official",
        "--device": "default: cpu for the bundled model",
        "--guidance-scale": "default 7.5",
        "--scene": "nerf (default), or image",
        "--inversion-guidance-scale": "default -7.5",
    }
    for name, default in defaults.items():
        assert default in said[name]
        assert len(said[name].split()) > 3, name


@pytest.mark.parametrize(
    ("words", "compared", "said"),
    [
        ([], False, "left out, since at laptop too few prompts are compared to tell: .*fig08_abl"),
        (["--preset", "full"], True, "^$"),
        (["fig08_ablation"], True, "^$"),
    ],
)
def test_at_laptop_make_leaves_out_what_could_not_be_tested_unless_it_is_named(
    words, compared, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(ROOT)
    assert main(["stale", *words, "--folder", str(tmp_path / "none")]) == 0
    names, note = capsys.readouterr()
    assert ("fig08_ablation" in names.split()) == compared
    assert ("fig01_teaser_3d" in names.split()) == (words != ["fig08_ablation"])
    assert re.search(said, note)


def test_a_claims_prompts_are_as_many_for_make():
    assert PROMPTS_OF_A_CLAIM == MINIMUM_N


def test_sdilib_is_a_module_to_run():
    done = subprocess.run(
        [sys.executable, "-m", "sdilib", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "check-figures" in done.stdout


def test_settings_may_be_given_one_by_one(tmp_path, capsys):
    words = ["run", "--prompt", "a red mug", "--scene", "image", "--model", "tiny", "--steps", "3"]
    words += ["--set", "entropy=0.1", "--set", "tau_max=0", "weight=1"]
    assert main([*words, "--root", str(tmp_path)]) == 0
    (config,) = tmp_path.glob("*/config.json")
    made = json.loads(config.read_text())
    assert (made["entropy"], made["tau_max"], made["weight"]) == (0.1, 0.0, "1")


def test_a_rule_that_leaves_the_program_is_one_sentence(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("import sys\nsys.exit('no licence')\n")
    words = ["run", "--prompt", "a red mug", "--scene", "image", "--model", "tiny"]
    assert main([*words, "--rule", str(tmp_path / "mine.py")]) == 1
    assert capsys.readouterr().err == "sdilib: no licence\n"
