"""Whether a figure is what the present code would make: one answer, for make and for the check."""

import ast
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from sdilib.lab.notebooks import freshness
from sdilib.lab.notebooks.freshness import absolute, check, digest, figure_folder, made_from, stale
from sdilib.lab.notebooks.gallery import gallery
from sdilib.lab.presets import resolve
from sdilib.storage import read_json, write_json

ROOT = Path(__file__).parents[3]

CODE = '''"""What it is."""

import math


class A:
    """A class."""

    x = 1
    """An attribute."""

    def f(self):
        "A method."
        return "text", self.x  # a comment
'''


@pytest.fixture
def source(save) -> Path:
    return save.notebooks / "fig01_teaser.py"


@pytest.fixture
def reason(save, source):
    """Why the figure on disk is not fresh, in a word of both who ask; "" if it is."""

    def _reason(model: str = "random") -> str:
        problems = check(save.folder, notebooks=save.notebooks)
        assert stale([source], save.folder, preset="laptop", model=model) == [source] * bool(
            problems
        )
        return problems[0].removeprefix("fig01_teaser: ").split("; repair:")[0] if problems else ""

    return _reason


def test_words_do_not_count_as_code():
    def named(text: str) -> str:
        return digest(ast.parse(text))

    words = ("What it is", "A class", "An attribute", "A method", "a comment")
    for word in words:
        assert named(CODE.replace(word, "Another")) == named(CODE)
    for old, new in (('"text"', '"txt"'), ("math", "cmath"), ("x = 1", "x = 2")):
        assert named(CODE.replace(old, new)) != named(CODE)


def test_a_fresh_figure_has_no_problem(save, reason):
    save()
    assert reason() == ""


def test_text_of_the_notebook_may_change_but_not_its_code(save, reason, source):
    save()
    text = source.read_text()
    for words in (("A title", "Another"), ("x = 1", "x = 1  # of something")):
        source.write_text(text.replace(*words))
        assert reason() == ""
    for code in ("x = 2", "%magic", "x ="):
        source.write_text(text.replace("x = 1", code))
        assert reason() == f"the code of {source} has changed since"
    source.unlink()
    (problem,) = check(save.folder, notebooks=save.notebooks)
    assert f"its notebook {source} is gone" in problem


def test_the_repair_names_a_model_that_is_not_the_presets(save, source):
    text, folder = source.read_text(), str(Path("mine/model").resolve())
    for model, said in (
        ("mini", ""),
        ("owner/model", " MODEL=owner/model"),
        (folder, " MODEL=mine/model"),
    ):
        source.write_text(text)
        save(config=resolve("fig01_teaser", "laptop", model=model))
        source.write_text(text.replace("x = 1", "x = 3"))
        (problem,) = check(save.folder, notebooks=save.notebooks)
        assert problem.endswith(f"repair: make figures FIG=01 PRESET=laptop{said}")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A library of three modules, of which the first imports the second when it runs."""
    folder = tmp_path / "sdilib"
    (folder / "lab").mkdir(parents=True)
    for path, text in (
        ("__init__.py", ""),
        ("a.py", "def f():\n    from sdilib.lab.b import g\n    return g\n"),
        ("c.py", ""),
        ("lab/__init__.py", ""),
        ("lab/b.py", "import sdilib.lab.presets\ndef g(): ...\n"),
        ("lab/presets.py", ""),
    ):
        (folder / path).write_text(text)
    monkeypatch.setattr(freshness, "_PACKAGE", folder)
    freshness._module.cache_clear()
    yield folder
    freshness._module.cache_clear()


def test_modules_are_those_imported_directly_or_not_and_later(package, save, source, reason):
    source.write_text(source.read_text().replace("x = 1", "import sdilib.a\nx = 1"))
    save()
    library = made_from(source, {}, "")["library"]
    assert list(library) == ["sdilib", "sdilib.a", "sdilib.lab", "sdilib.lab.b"]
    for path, text, said in (
        ("lab/b.py", "import sdilib.lab.presets\n\ndef g():\n    '''Words.'''\n    ...  # too", ""),
        ("c.py", "x = 2", ""),
        ("lab/b.py", "def g(): pass", "sdilib.lab.b changed since"),
        ("a.py", "x = 2", "sdilib.a and 2 more changed since"),
    ):
        (package / path).write_text(text)
        freshness._module.cache_clear()
        assert reason() == said


def test_data_that_a_module_names_count_with_it(package, save, source, reason):
    (package / "lab/b.py").write_text("def g(): return 'rows.csv', 'gone.csv', 'read.md'\n")
    for name in ("rows.csv", "read.md", "c.txt"):
        (package / "lab" / name).write_text("1")
    freshness._module.cache_clear()
    source.write_text(source.read_text().replace("x = 1", "import sdilib.lab.b\nx = 1"))
    save()
    for name, said in (("read.md", ""), ("c.txt", ""), ("rows.csv", "sdilib.lab.b: rows.csv")):
        (package / "lab" / name).write_text("2")
        freshness._module.cache_clear()
        assert reason() == f"{said} changed since" * bool(said)


@pytest.mark.parametrize("figure", ["fig01_teaser_3d", "fig08_ablation", "table1_3d"])
def test_what_counts_as_sds_and_the_prompts_count_as_code(figure):
    library = made_from(ROOT / "notebooks" / f"{figure}.py", {}, "")["library"]
    assert {"sdilib.lab.practice", "sdilib.lab.prompts"} <= library.keys()
    tables = {"sdilib.lab.methods: paper_table1.csv", "sdilib.lab.methods: paper_prompts.txt"}
    assert tables <= library.keys() or "sdilib.lab.methods" not in library


def test_the_librarys_own_modules_are_found():
    library = made_from(ROOT / "notebooks" / "fig01_teaser.py", {}, "")["library"]
    assert {"sdilib.guidance.base", "sdilib.sampling", "sdilib.schedule"} <= library.keys()
    assert not {"sdilib.lab.presets", "sdilib.lab.notebooks.records", "sdilib.nerf.field"} & set(
        library
    )
    assert not any(name.startswith("sdilib.cli") for name in library)


def test_what_only_hands_runs_out_does_not_count(save, reason):
    table = ROOT / "notebooks" / "table1_2d.py"
    library = made_from(table, {}, "")["library"]
    assert "sdilib.lab.benchmark.comparing" in library
    assert "sdilib.lab.sweeps" not in library
    record = save()
    older = read_json(record)
    write_json(record, older | {"library": older["library"] | {"sdilib.lab.sweeps": "0"}})
    assert reason() == ""


def test_a_public_name_stands_for_its_module(tmp_path):
    source = tmp_path / "a.py"
    source.write_text("from sdilib import SDI\n")
    library = made_from(source, {}, "")["library"]
    assert {"sdilib", "sdilib.guidance", "sdilib.guidance.sdi"} <= library.keys()
    assert "sdilib.nerf.field" not in library


def test_other_settings_are_a_problem(save, reason):
    save(config=resolve("fig01_teaser", "laptop", model="random", num_prompts=3))
    assert reason() == "the preset laptop has another num_prompts now"
    runs = resolve("run3d", "laptop")
    config = resolve("fig01_teaser", "laptop", model="random")
    save(config=config | {"run": runs})
    assert reason() == ""
    save(config=config | {"run": runs | {"steps": 7}})
    assert reason() == "the preset laptop has another steps now"


def test_a_figure_made_with_other_parameters_is_a_problem(save, reason):
    record = save()
    write_json(record, read_json(record) | {"given": {"seed": 3}, "figures": ["fig01_teaser"]})
    assert reason() == "it was made with seed=3"


def test_a_figure_of_two_that_is_gone_is_a_problem(save, reason):
    record = save()
    write_json(record, read_json(record) | {"given": {}, "figures": ["fig01_teaser", "another"]})
    assert reason() == "another, made with it, is missing"


def test_an_older_versions_record_is_a_problem_and_has_its_place_in_the_gallery(save, reason):
    record = save()
    older = read_json(record)
    del older["library"]
    write_json(record, older)
    assert reason() == "it was made by an older version"
    assert "fig01_teaser.png" in gallery(save.folder).read_text()


def test_a_smoke_run_is_a_problem_for_the_check_alone(save, source):
    save(config=resolve("fig01_teaser", "smoke", model="random"))
    (problem,) = check(save.folder, notebooks=save.notebooks)
    assert "smoke run" in problem
    assert problem.endswith("PRESET=laptop MODEL=random")
    for preset, found in (("smoke", []), ("laptop", [source])):
        assert stale([source], save.folder, preset=preset, model="random") == found


def test_another_model_or_evaluator_is_a_problem(save, reason, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.safetensors").write_bytes(b"")
    config = resolve("fig01_teaser", "laptop", model=str(folder))
    save(config=config)
    assert reason(str(folder)) == f"the model {folder} has changed since"
    save(config=config, model_hash="")  # formulas alone: no weights can make it stale
    assert reason(str(folder)) == ""
    save(config=resolve("fig01_teaser", "laptop", model="random") | {"evaluator": str(folder)})
    assert reason() == ""
    (folder / "evaluator.json").write_text("{}")
    assert reason() == f"the evaluator {folder} has changed since"


def test_make_asks_for_the_model_as_it_was_given(save, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    assert absolute("mine") == str(tmp_path / "mine")
    assert [absolute(name) for name in ("", "mini", "owner/none")] == ["", "mini", "owner/none"]
    save(config=resolve("fig01_teaser", "laptop", model=str(tmp_path / "mine")), model_hash="")
    for model, found in (("mine", []), ("", [source]), ("other", [source])):
        assert stale([source], save.folder, preset="laptop", model=model) == found


def test_a_figure_that_nobody_made_is_stale(save, source):
    assert stale([source], save.folder, preset="laptop") == [source]


def test_missing_parts_are_a_problem(save, reason):
    save()
    (save.folder / "fig01_teaser.pdf").write_bytes(b"another")
    assert "fig01_teaser.pdf is missing or is not the file" in reason()


def test_a_film_is_a_file_of_the_figure_like_the_others(save, reason):
    frames = torch.rand(3, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    record = json.loads(save(film=frames).read_text())
    path = save.folder / "fig01_teaser.gif"
    with Image.open(path) as film:
        assert (film.n_frames, film.size) == (3, (6, 4))
    assert set(record["files"]) == {"png", "pdf", "gif"}
    assert "(fig01_teaser.gif)" in gallery(save.folder).read_text()
    path.write_bytes(b"another")
    assert "fig01_teaser.gif is missing or is not the file" in reason()


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a folder of figures"):
        check(tmp_path / "none")


def test_figures_go_to_the_repository_around_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "paper_figures").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert figure_folder("laptop") == tmp_path / "paper_figures" / "laptop"
    assert str(figure_folder("laptop", "elsewhere")) == "elsewhere"
