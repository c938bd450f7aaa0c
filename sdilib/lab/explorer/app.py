"""The explorer and the results in one page, as `sdilib app` shows them."""

import ipywidgets

from sdilib.lab.explorer.results import Results
from sdilib.lab.explorer.widgets import Explorer
from sdilib.stable_diffusion import StableDiffusion


class App(ipywidgets.Tab):
    """The explorer and the results, behind two tabs.

    Attributes:
        explorer: see `Explorer`.
        results: see `Results`.
    """

    def __init__(self, model: str = "mini", root: str = "") -> None:
        """Load the model.

        Args:
            model: name, folder or hub id.
            root: folder of all runs; see `lab.runs.runs_folder`.
        """
        self.explorer = Explorer(StableDiffusion.from_pretrained(model), root=root)
        self.results = Results(root)
        pages = (self.explorer.view, self.results.view)
        super().__init__(pages, titles=("Explore", "Results"))
        self.observe(lambda _: self.results.refresh(), "selected_index")
