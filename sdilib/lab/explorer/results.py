"""The results: all runs on disk, looked at, laid side by side, exported and deleted, in a notebook.

What is shown comes from the runs' own files; a model is loaded only for a turntable or a mesh that is not there yet.
"""

import html
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import Any

import ipywidgets
from PIL import Image, ImageSequence

from sdilib.lab.explorer.curves import HUES, run_curves
from sdilib.lab.explorer.parts import STYLE, button, differences, enlarged, picture, row, said
from sdilib.lab.exports import nerf_mesh
from sdilib.lab.filtering import matches
from sdilib.lab.mesh_page import mesh_frame
from sdilib.lab.runs import known_runs, remove, runs_folder
from sdilib.lab.runs.exporting import MESH_PAGE, export, pictures, reopened, write_mesh_page
from sdilib.lab.runs.folders import LOG, read_log
from sdilib.stable_diffusion import StableDiffusion

EXAMPLES = Path(__file__).parents[2] / "examples"
"""Finished runs that come with the package, so that the first opening is not empty, by `make examples`; they stay as they are."""

PER_PAGE = 24
"""Runs in sight at first, and with each click on "more"."""

MOST = 6
"""That are laid side by side."""

_REFUSED = (OSError, RuntimeError, ValueError)

Run = Mapping[str, Any]

_model = cache(StableDiffusion.from_pretrained)


class _Tile(ipywidgets.VBox):
    """One run among all: what it made, what it is, and a box to choose it by."""

    def __init__(self, run: Run, chosen: Callable[[Any], None]) -> None:
        self.run = run
        config, size = run["config"], run["bytes"] / 2**20
        self.box = ipywidgets.Checkbox(
            description=config["rule"], indent=False, layout={"width": "150px"}, tooltip=run["name"]
        )
        self.box.observe(chosen, "value")
        shown = picture(150)
        if (image := _thumbnail(run["folder"])) is not None:
            shown.value = enlarged(image, 150)
        steps = (
            f"{config['steps']} steps"
            if run["state"] == "done"
            else (f"{run['state']}: {run['steps']} of {config['steps']} steps")
        )
        what = "3D" if config.get("scene") == "nerf" else "image"
        lines = [f"{what} · {steps}", f"seed {config.get('seed')} · {size:.1f} MB"]
        lines += ["example"] * run["example"] + ["of an older version"] * run["older"]
        text = "<br>".join(said(line, dim=True) for line in lines)
        told = ipywidgets.HTML(f"{html.escape(config['prompt'])}<br>{text}")
        super().__init__([shown, self.box, told], layout={"width": "168px"})
        self.add_class("sdi-card").add_class("sdi-run")


class Results:
    """All runs on disk.

    Attributes:
        view: the widget; it is shown where this is a cell's last value.
        asked: the filter.
        tiles: the runs in sight.
        turn: number of the frame that all turntables show.
        status: one sentence.
    """

    def __init__(self, root: str = "", *, asked: str = "") -> None:
        """Look at what is there.

        Args:
            root: folder of all runs; see `lab.runs.runs_folder`.
            asked: the filter to begin with.
        """
        self.root = runs_folder(root)
        self.asked = ipywidgets.Text(
            value=asked,
            placeholder="filter: mug sdi steps=60",
            tooltip="words of the prompt, the rule or the state, or setting=value; all must match",
            layout={"width": "270px"},
        )
        self.status, self._about = ipywidgets.HTML(), ipywidgets.HTML()
        self._grid, self.tiles, self._most = row(grid_gap="10px"), [], PER_PAGE
        side = f"lay up to {MOST} runs side by side"
        self.compare_button = button("Compare", "columns", self.compare, hint=side, style="success")
        self.mesh_button = button("Mesh", "cube", self.mesh, hint="turns by the mouse")
        self.export_button = button("Export…", "download", self._ask_export, hint="asks first")
        self.delete_button = button("Delete…", "trash", self._ask_delete, hint="asks first")
        self._sure = row()
        turn = "turn all that are laid side by side"
        self.turn = ipywidgets.IntSlider(max=47, description="turn", readout=False, tooltip=turn)
        self._play = ipywidgets.Play(max=47, interval=125, repeat=True)
        ipywidgets.jslink((self._play, "value"), (self.turn, "value"))
        self._side, self._curves, self._solid = row(), picture(0), ipywidgets.HTML()
        self._turning = ipywidgets.HBox([self._play, self.turn])
        self._work, self._busy = threading.Thread(), False
        self._more = button("more", "chevron-down", self._show_more, hint="runs")
        self._acts = (self.compare_button, self.mesh_button, self.export_button, self.delete_button)
        refresh = button("", "refresh", self.refresh, hint="look again")
        self.view = ipywidgets.VBox(
            [
                ipywidgets.HTML(STYLE),
                row(self.asked, *self._acts, refresh, grid_gap="4px"),
                self._about,
                self._sure,
                self.status,
                self._side,
                self._turning,
                self._curves,
                self._solid,
                self._grid,
                self._more,
            ]
        ).add_class("sdi")
        self.asked.observe(lambda _: self._show(), "value")
        self.turn.observe(lambda _: self._turned(), "value")
        self._lay([], {})
        self.refresh()

    def _repr_mimebundle_(self, **arguments: Any) -> Any:
        return self.view._repr_mimebundle_(**arguments)

    @property
    def chosen(self) -> list[Run]:
        """The runs whose boxes are ticked."""
        return [tile.run for tile in self.tiles if tile.box.value]

    def refresh(self) -> None:
        """Look again at what lies in the folder, and show what the filter asks for."""
        known = [
            {**run, "folder": Path(root) / run["name"], "root": root, "example": root == EXAMPLES}
            for root in (self.root, EXAMPLES)
            for run in known_runs(root)
        ]
        self._known = sorted(known, key=lambda run: run["folder"].stat().st_mtime, reverse=True)
        self._show()

    def _show(self) -> None:
        """Show which of the known runs the filter asks for."""
        known = self._known
        found = [run for run in known if matches(run, self.asked.value)]
        before = {tile.run["folder"]: tile for tile in self.tiles}
        self.tiles = [self._tile(run, before.get(run["folder"])) for run in found[: self._most]]
        self._grid.children = self.tiles
        for tile in before.values():
            if tile not in self.tiles:  # the page would keep it, and its picture
                for part in (*tile.children, tile):
                    part.close()
        self._more.layout.display = "" if len(found) > self._most else "none"
        size = sum(run["bytes"] for run in known if not run["example"]) / 2**20
        empty = "" if known else ": make one in the explorer, or by sdilib run"
        text = f"{len(found)} of {len(known)} runs · {size:.1f} MB in {self.root.name}{empty}"
        self._about.value = said(text, dim=True, hint=str(self.root.resolve()))
        self._choose()

    def _tile(self, run: Run, before: _Tile | None) -> _Tile:
        """The tile that is there already, if the run is as it was: a click on its way to it still counts."""
        if before is not None and before.run == run:
            return before
        made = _Tile(run, lambda _: self._choose())
        made.box.value = before is not None and before.box.value
        return made

    def wait(self, timeout: float | None = None) -> None:
        """Return once what was asked for last is done.

        Args:
            timeout: in seconds.
        """
        if self._work.ident is not None:
            self._work.join(timeout)

    def compare(self) -> None:
        """Lay the chosen runs side by side: what differs, turntables that turn together, and curves."""
        self._try("", self._compare, self.chosen)

    def _compare(self, runs: Sequence[Run]) -> None:
        cards, logs, films = [], {}, {}
        apart = differences([run["config"] for run in runs])
        for number, (run, differs, hue) in enumerate(zip(runs, apart, HUES, strict=False), 1):
            what = f"{number}: {differs or run['config']['prompt']}"
            shown = picture(220)
            if film := self._film(run):
                films[shown] = film
            mark = f'<b style="color: {hue}">●</b> {html.escape(what)}'
            told = ipywidgets.HTML(mark, layout={"width": "220px"})
            cards.append(ipywidgets.VBox([shown, told]).add_class("sdi-card"))
            logs[shorten(what, 70, placeholder=" …")] = read_log(run["folder"] / LOG)
        self._lay(cards, films)
        logs = {name: log for name, log in logs.items() if log}
        self._curves.value = run_curves(logs)._repr_png_() if logs else picture(0).value
        self._turned()

    def mesh(self) -> None:
        """Show the surface of the chosen run's object."""
        (run,) = self.chosen
        self._try(f"looking for the surface of {run['name']} …", self._show_mesh, run)

    def _show_mesh(self, run: Run) -> None:
        path = run["folder"] / MESH_PAGE
        if not path.exists():
            made, _ = reopened(run["folder"], _model)
            write_mesh_page(made, nerf_mesh(made.scene.field))
        self._solid.value = mesh_frame(path.read_text(encoding="utf-8"))
        told = f"{run['config']['prompt']}, also as a page: {run['name']}/{path.name}"
        self.status.value = said(told, hint=str(path.resolve()))

    def _show_more(self) -> None:
        self._most += PER_PAGE
        self._show()

    def _choose(self) -> None:
        self._sure.children = ()
        if self._busy:
            return
        runs = self.chosen
        in_3d = [run["config"].get("scene") == "nerf" for run in runs]
        done = all(run["state"] == "done" and not run["older"] for run in runs) and bool(runs)
        self.compare_button.disabled = not 1 <= len(runs) <= MOST
        self.mesh_button.disabled = not (done and in_3d == [True])
        shipped = any(run["example"] for run in runs)
        self.export_button.disabled = not done or shipped
        self.delete_button.disabled = not runs or shipped

    def _film(self, run: Run) -> list[Image.Image]:
        """What a run is looked at by, from all sides or from the only one."""
        turntable = run["folder"] / "turntable.gif"
        in_3d = run["config"].get("scene") == "nerf"
        if in_3d and not turntable.exists() and run["state"] == "done" and not run["older"]:
            self.status.value = said(f"drawing the turntable of {run['name']} …")
            try:
                list(pictures(*reopened(run["folder"], _model)))
                self.status.value = ""
            except _REFUSED as error:
                self.status.value = said(str(error), wrong=True)
        if turntable.exists():
            with Image.open(turntable) as film:
                return [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
        image = _thumbnail(run["folder"])
        return [image] if image is not None else []

    def _lay(self, cards: Sequence[Any], films: Mapping[Any, list[Image.Image]]) -> None:
        self._films = films
        self._side.children = tuple(cards)
        turns = any(len(film) > 1 for film in self._films.values())
        self._turning.layout.display = "" if turns else "none"
        self._curves.layout.display = "" if cards else "none"

    def _turned(self) -> None:
        for shown, film in self._films.items():
            shown.value = enlarged(film[self.turn.value % len(film)], 220)

    def _ask_delete(self) -> None:
        runs = self.chosen
        size = sum(run["bytes"] for run in runs) / 2**20
        self._ask(f"Delete {_counted(runs)}, {size:.1f} MB, for good?", "Delete", self._delete)

    def _delete(self) -> None:
        self._try("", self._delete_all, [run["name"] for run in self.chosen])

    def _delete_all(self, names: Sequence[str]) -> None:
        try:
            remove(names, self.root)
        finally:
            self._lay([], {})
            self._solid.value = ""
            self.refresh()

    def _ask_export(self) -> None:
        files = "pictures, and of 3D runs turntables and meshes"
        text = f"Write {files} into the folders of {_counted(self.chosen)}?"
        self._ask(text, "Export", self._export)

    def _export(self) -> None:
        self._try("", self._export_all, self.chosen)

    def _export_all(self, runs: Sequence[Run]) -> None:
        written, refused = [], []
        for run in runs:
            self.status.value = said(f"exporting {run['name']} …")
            try:
                names = ", ".join(path.name for path in export(*reopened(run["folder"], _model)))
                written.append(f"{run['folder']}: {names}")
            except _REFUSED as error:
                refused.append(str(error))
        told = "; ".join(refused) or f"written to {'; '.join(written)}"
        self.status.value = said(told, wrong=bool(refused))

    def _ask(self, question: str, yes: str, act: Callable[[], None]) -> None:
        style = "danger" if yes == "Delete" else "success"
        buttons = [button(yes, "check", act, style=style), button("Cancel", "times", self._choose)]
        self._sure.children = (ipywidgets.HTML(said(question)), *buttons)

    def _try(self, told: str, act: Callable[..., None], *given: Any) -> None:
        """Do what may take long or be refused, and say so: on a thread, so that the page, and an explorer on it, go on."""
        self.status.value, self._busy, before = said(told), True, self._work
        self._sure.children = ()
        for each in self._acts:
            each.disabled = True

        def work() -> None:
            if before.ident is not None:
                before.join()
            try:
                act(*given)
            except _REFUSED as error:
                self.status.value = said(str(error), wrong=True)
            finally:
                self._busy = False
                self._choose()

        self._work = threading.Thread(target=work, name="sdilib results", daemon=True)
        self._work.start()


def _counted(runs: Sequence[Run]) -> str:
    return runs[0]["name"] if len(runs) == 1 else f"{len(runs)} runs"


def _thumbnail(folder: Path) -> Image.Image | None:
    """The last picture that a run kept of itself."""
    kept = [*sorted((folder / "frames").glob("*.png")), *folder.glob("image.png")]
    if not kept:
        return None
    try:
        with Image.open(kept[-1]) as image:
            return image.convert("RGB")
    except OSError:  # damaged, or being written
        return None
