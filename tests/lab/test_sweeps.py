"""Sweeps, with real processes: the same bits by any number of them, none lost to a death, the guilty blamed by name."""

import os
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
from distributed import Client

import sdilib
from sdilib.cli import main
from sdilib.lab import sweeps
from sdilib.lab.runs import distilled
from sdilib.lab.runs.folders import settings_of
from sdilib.lab.sweeps import runs_of, submit, sweep
from sdilib.storage import read_json
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D

ROOT = Path(sdilib.__file__).parents[1]
DEADLY = """
import os, signal
from pathlib import Path
from sdilib.guidance import SDS
class Deadly:
    def __init__(self, denoiser, often=1):
        self.inner, self.often = SDS(denoiser, 7.5), often
    def __call__(self, *seen):
        deaths = Path("deaths").read_text() if Path("deaths").exists() else ""
        if len(deaths) < self.often:
            Path("deaths").write_text(deaths + "x")
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner(*seen)
"""
FILLS = """
import errno, os
from pathlib import Path
from sdilib.guidance import SDS
def full(file):
    raise OSError(errno.ENOSPC, "No space left on device")
class Fills:
    def __init__(self, denoiser):
        self.inner = SDS(denoiser, 7.5)
    def __call__(self, *seen):
        try:
            Path("full").touch(exist_ok=False)
        except FileExistsError:
            return self.inner(*seen)
        os.fsync = full
        return self.inner(*seen)
"""
"""The disk of the first worker that comes is full from then on."""

WAITS = """
import time
from pathlib import Path
from sdilib.guidance import SDS
class Waits(SDS):
    def __call__(self, *seen):
        while Path("hold").exists():
            time.sleep(0.05)
        return super().__call__(*seen)
"""
TABLE = """
scene = "image"
model = "tiny"
steps = 4
[each]
prompt = ["a red mug", "a blue car"]
seed = [0, 1]
[[runs]]
rule = "sds"
guidance_scale = 30
[[runs]]
rule = "sdi"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def table(text, name="table.toml"):
    Path(name).write_text(text)
    return runs_of(name)


TWO = """
scene = "image"
model = "tiny"
steps = 3
prompt = "a red mug"
[[runs]]
rule = "sds"
[[runs]]
rule = "waits.py"
"""


@contextmanager
def begun(command):
    """A process, which is gone at the end."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def cluster(*of_worker):
    """A scheduler and one worker in processes of their own: the address and the scheduler's process."""
    here = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", "scheduler.json"]
    dask = [sys.executable, "-m", "dask"]
    with begun([*dask, "scheduler", "--port", "0", *here]) as scheduler:
        worker = [*dask, "worker", *here, "--nthreads", "1", "--no-nanny", *of_worker]
        with begun(worker):
            with Client(scheduler_file="scheduler.json", timeout="300s") as client:
                client.wait_for_workers(1, timeout=300)
                address = client.scheduler.address
            yield address, scheduler


def made(root):
    """What is finished, and the bytes that say so."""
    return {path: path.read_bytes() for path in root.glob("*/done.json")}


def scenes(root):
    return {path.parent.name: path.read_bytes() for path in root.glob("*/scene.safetensors")}


def test_a_table_is_every_method_with_every_prompt_and_seed():
    runs = table(TABLE)
    assert len(runs) == 8
    asked = {(run.rule, run.prompt, run.seed) for run in runs}
    assert ("sdi", "a blue car", 1) in asked
    assert {run.rule_settings["guidance_scale"] for run in runs} == {30.0, 7.5}


def test_a_csv_is_a_run_per_line():
    text = (
        "scene,model,prompt,rule,weight,learning_rate,seed\n"
        "image,tiny,a mug,sds,1,1,\nimage,tiny,2,sdi,,,7\n"
    )
    first, second = table(text, "table.csv")
    sds = {"rule": "sds", "rule_settings": {"weight": "1"}}
    assert first == Text2D("a mug", model="tiny", learning_rate=1.0, **sds)
    assert second == Text2D("2", model="tiny", seed=7)
    nerf = table('preset = "smoke"\nprompt = "a mug"\n')[0]
    assert (nerf.steps, nerf.size) == (2, 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt = ", "file='bad.toml': expected TOML (Invalid value"),
        ('prompt = ""', "prompt='': expected a text with at least one word"),
        ("steps = 3", "prompt='': expected a text with at least one word"),
        ('prompt = "a"\n[each]\nseed = 3', "each.seed=3: expected a list of values"),
        ('prompt = "a"\n[each]\nseed = [1, 1]', "expected different runs; run 2 is there already"),
        ('prompt = "a"\ngama = 3', "setting='gama': expected one of"),
        ('prompts = ["a"]', "setting='prompts': expected one of"),
        ('prompt = "a"\nsteps = "3"', "steps='3': expected a value of type int"),
        ('prompt = "a"\nrule = "sdj"', "rule='sdj': expected one of sdi, sds"),
        (
            'prompt = "a"\nscene = "nerv"',
            "scene='nerv': expected one of nerf, image; did you mean nerf?",
        ),
        ('prompt = "a"\nruns = []', "file='bad.toml': expected at least one run"),
        ('prompt = "a"\nruns = 3', "runs=3: expected tables, each under [[runs]]"),
        ('prompt = "a"\nruns = ["b"]', "runs=['b']: expected tables, each under [[runs]]"),
        ('prompt = "a"\neach = [3]', "each=[3]: expected a table of lists, [each]"),
        ('prompt = "a"\nscene = "image"\npreset = "x"', "preset='x': expected none for images"),
        (f"seed = {'9' * 5000}", "file='bad.toml': expected TOML (Exceeds the limit"),
    ],
)
def test_a_table_that_cannot_be_is_refused_in_a_sentence(text, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its text is compared
        table(text, "bad.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_tables_are_refused():
    for name in ("none.toml", "table.json"):
        with pytest.raises(ValueError, match=r"file='.*': expected an existing .toml or .csv file"):
            runs_of(name)
    for text in ("prompt,rule\na mug\n", "prompt,seed,seed\na mug,1,2\n"):
        with pytest.raises(ValueError, match="each column once, and as many fields in each line"):
            table(text, "table.csv")
    with pytest.raises(ValueError, match=r"file='table.csv': expected CSV \(field larger"):
        table("x" * 200_000, "table.csv")
    with pytest.raises(ValueError, match=r"seed=.*: expected a value of type int"):
        table(f"prompt,seed\na mug,{'[' * 100_000}\n", "table.csv")


@pytest.mark.parametrize(
    ("model", "prompt", "message"),
    [
        ("nope", "a mug", "model='nope': expected mini, tiny, sd21, an existing folder, or a hub"),
        ("mni", "a mug", "or a hub id owner/name; did you mean mini?"),
        ("a/b/c", "a mug", "model='a/b/c': expected mini, tiny"),
        (
            ".",
            "a mug",
            "model='.': expected a folder in diffusers' format, with a model_index.json",
        ),
        ("stabilityai/stable-diffusion-2-1", "a mug", "has withdrawn this one from the hub"),
        ("mini", "a red tiger", "prompt='tiger': expected the bundled model's words only"),
    ],
)
@pytest.mark.parametrize("to", [[], ["--slurm"], ["--scheduler", "tcp://far:8786"]])
def test_a_model_or_a_word_that_no_run_could_have_starts_nothing(
    to, model, prompt, message, monkeypatch, capsys
):
    monkeypatch.setattr(sweeps, "_client", lambda *_: pytest.fail("a client was made"))
    lines = (
        f'scene = "image"\nprompt = "a mug"\n[[runs]]\nmodel = "tiny"\n[[runs]]\nmodel = "{model}"'
    )
    Path("table.toml").write_text(f'{lines}\nnegative_prompt = "{prompt}"\n')
    assert main(["sweep", "table.toml", *to]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert [path.name for path in Path().iterdir()] == ["table.toml"]


def test_the_processes_of_a_sweep_listen_to_this_machine_only():
    def listening(process=None):
        open_ports = (process or psutil.Process()).net_connections("inet")
        return {each.laddr.ip for each in open_ports if each.status == psutil.CONN_LISTEN}

    before = listening()
    with sweeps._client(1, 1, "", on_gpu=False) as client:
        client.wait_for_workers(1, timeout=120)
        (worker,) = client.scheduler_info()["workers"].values()
        ours = psutil.Process().children(recursive=True)
        heard = [listening(), *map(listening, ours)]
        assert client.scheduler.address.startswith("tcp://127.0.0.1:")
        assert {worker["host"], *set().union(*heard) - before} == {"127.0.0.1"}
        assert len([each for each in heard if each]) >= 2
        with pytest.raises(HTTPError, match="404"):
            urlopen(client.dashboard_link)


def test_a_killed_worker_loses_nothing_and_the_number_of_workers_changes_no_bit(tmp_path):
    Path("deadly.py").write_text(DEADLY)
    common = {"model": "tiny", "steps": 3}
    good = [
        Text2D("a red mug", rule=rule, seed=s, **common) for rule in ("sds", "sdi") for s in (0, 1)
    ]
    deadly = Text2D("a red mug", rule="deadly.py", rule_settings={"often": 1}, **common)
    ended = list(sweep([*good, deadly], root=tmp_path / "two", workers=2))
    assert [outcome.state for outcome in ended] == ["done"] * 5
    assert Path("deaths").read_text() == "x"
    for config in [*good, deadly]:
        distilled(config, root=tmp_path / "one", progress=False)
    assert scenes(tmp_path / "two") == scenes(tmp_path / "one")
    assert len(scenes(tmp_path / "one")) == 5
    threads = {read_json(path)["threads"] for path in tmp_path.glob("two/*/done.json")}
    assert threads == {1}

    # A run that kills every worker it is given to is blamed, and the others go on.
    always = Text2D("a blue car", rule="deadly.py", rule_settings={"often": 99}, **common)
    fresh = Text2D("a blue car", **common)
    ended = {o.state: o for o in sweep([always, fresh], root=tmp_path / "two", workers=1)}
    assert ended.keys() == {"killed", "done"}
    assert ended["killed"].name.startswith("deadly-py-a-blue-car-0")
    assert "3 workers died of it" in ended["killed"].reason
    assert Path("deaths").read_text() == "x" * 4


def test_a_run_that_is_there_takes_no_prediction(tmp_path):
    settings = settings_of(Text2D("a red mug", model="tiny", steps=2))
    first = sweeps._make(settings, str(tmp_path), 1)
    assert first[1:3] == ("done", "")
    model = sweeps._model("tiny", "auto")
    spent = model.num_forwards
    assert sweeps._make(settings, str(tmp_path), 1) == first
    assert model.num_forwards == spent > 0


def test_a_run_has_the_precision_that_its_settings_say(tmp_path):
    small = {"steps": 1, "cameras": 1, "size": 16, "num_samples": 8, "levels": 2}
    config = Text3D("a red mug", model="tiny", precision="float16", **small)
    name, state, reason, _ = sweeps._make(settings_of(config), str(tmp_path), 1)
    assert (state, reason) == ("done", "")
    assert (tmp_path / name / "scene.safetensors").is_file()


def test_two_sweeps_at_once_make_each_run_once(tmp_path):
    Path("table.toml").write_text(TABLE.replace("[0, 1]", "[0]"))
    command = [sys.executable, "-m", "sdilib", "sweep", "table.toml"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    for out, errors in said:
        others = (line.startswith("another process works on ") for line in errors.splitlines())
        assert all(others), errors
        assert out.splitlines()[-1] == "4 done"
        assert out.splitlines()[-2].startswith("4 of 4: sd")
    assert len(scenes(tmp_path / "runs")) == 4
    logs = [path.read_text().splitlines() for path in tmp_path.glob("runs/*/log.jsonl")]
    assert all(len(set(lines)) == len(lines) for lines in logs)


def test_a_disk_that_is_full_for_one_worker_costs_its_runs_alone_and_they_are_made_again(tmp_path):
    Path("fills.py").write_text(FILLS)
    common = {"model": "tiny", "steps": 3, "rule": "fills.py"}
    runs = [Text2D("a red mug", seed=seed, **common) for seed in range(6)]
    first = list(sweep(runs, root=tmp_path / "two", workers=2))
    assert {outcome.state for outcome in first} == {"done", "failed"}
    why = [outcome.reason for outcome in first if outcome.state == "failed"]
    assert all(
        "OSError: root=" in each and "expected space left on its disk" in each for each in why
    )
    before = made(tmp_path / "two")
    assert len(before) == 6 - len(why)
    assert [outcome.state for outcome in sweep(runs, root=tmp_path / "two")] == ["done"] * 6
    assert before.items() <= made(tmp_path / "two").items()
    for config in runs:
        distilled(config, root=tmp_path / "one", progress=False)
    assert scenes(tmp_path / "two") == scenes(tmp_path / "one")


@pytest.mark.parametrize("on_a_cluster", [False, True])
def test_a_scheduler_that_is_killed_costs_nothing_that_is_finished(on_a_cluster, tmp_path):
    Path("waits.py").write_text(WAITS)
    Path("hold").touch()
    Path("table.toml").write_text(TWO)
    command = [sys.executable, "-m", "sdilib", "sweep", "table.toml"]
    with cluster() if on_a_cluster else nullcontext(("", None)) as (address, scheduler):
        there = ["--scheduler", address] if address else []
        with begun([*command, *there]) as first:
            assert first.stdout.readline().startswith("1 of 2")
            # Without a cluster the scheduler is in the sweep's own process.
            (scheduler or first).kill()
            said = first.communicate(timeout=300)[1]
    if on_a_cluster:
        lost = "the scheduler was lost after 1 of 2 runs, which stay"
        assert said.splitlines()[-1] == f"sdilib: {lost}: the same command makes the others"
        assert first.returncode == 1
    before = made(tmp_path / "runs")
    assert len(before) == 1
    Path("hold").unlink()
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert again.stdout.splitlines()[-1] == "2 done"
    assert before.items() <= made(tmp_path / "runs").items()


def test_workers_of_another_version_are_refused_by_name(tmp_path):
    Path("old.py").write_text("import sdilib\nsdilib.__version__ = '0.0.9'\n")
    config = Text2D("a red mug", model="tiny", steps=2)
    with cluster("--preload", "old.py") as (address, _):
        with pytest.raises(ValueError, match=r"worker='tcp://.*': expected sdilib .* not 0\.0\.9"):
            list(sweep([config], root=tmp_path / "runs", scheduler=address))
    # One that comes later has not been asked.
    with pytest.raises(ValueError, match=r"worker='.*': expected sdilib 0\.0\.9, not "):
        sweeps._make(settings_of(config), str(tmp_path / "runs"), 1, "0.0.9")
    assert not (tmp_path / "runs").exists()


def test_a_job_array_makes_runs_and_comes_back_after_its_time(tmp_path):
    config = Text2D("a red mug", model="tiny", steps=3)
    (job,) = submit([config], root=tmp_path / "runs", cluster="local", options={"timeout_min": 5})
    assert job.result()[1] == "done"
    assert job.submission().args == (
        settings_of(config),
        str(tmp_path / "runs"),
        1,
        sweeps._version(),
    )
    assert len(scenes(tmp_path / "runs")) == 1
    again = sweeps._Requeued().checkpoint({}, "runs", 1)
    assert (type(again.function), again.args) == (sweeps._Requeued, ({}, "runs", 1))
    with pytest.raises(ValueError, match="expected options of submitit"):
        submit([config], root=tmp_path / "runs", cluster="local", options={"timeout": 5})


def test_more_workers_than_gpus_and_a_worker_of_another_version_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert sweeps._devices() == ["2", "3"]
    config = Text2D("a mug", model="owner/name")
    with pytest.raises(ValueError, match="workers=3: expected at most 2, one for each GPU"):
        list(sweep([config], root=tmp_path, workers=3))
    with pytest.raises(ValueError, match="workers=0"):
        list(sweep([config], root=tmp_path, workers=0))

    class Other:
        def __init__(self, *_, **__): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def run(self, function):
            return {"tcp://far:1": "0.0.9, numerics 1"}

    monkeypatch.setattr("distributed.Client", Other)
    with pytest.raises(ValueError, match=r"worker='tcp://far:1': expected sdilib .* not 0.0.9"):
        list(sweep([config], root=tmp_path, scheduler="tcp://far:8786"))


def test_each_worker_has_one_gpu_before_torch_is_there(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    with sweeps._client(2, 3, "", on_gpu=True) as client:
        client.wait_for_workers(2, timeout=120)
        seen = client.run(
            lambda: (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"])
        )
    assert sorted(seen.values()) == [("5", "3"), ("7", "3")]
