# One line per recipe: the work is in `python -m sdilib`. `make` lists the targets.

PRESET ?= laptop
MODEL  ?=
FIG    ?=
THREADS ?= $(SDILIB_THREADS)
AGAIN  ?=
TORCH_ARGS ?=
EXAMPLES ?= sdilib/examples
SYSTEM_PYTHON ?= python3

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
ifneq ($(THREADS),)
ifeq ($(shell echo '$(THREADS)' | grep -xE '0*[1-9][0-9]*'),)
$(error THREADS='$(THREADS)': expected an integer of at least 1)
endif
endif
export SDILIB_THREADS := $(THREADS)

# The active environment, or else our own. conda's base is everybody's, so it counts as none.
ifneq ($(VIRTUAL_ENV)$(filter-out base,$(if $(CONDA_PREFIX),$(or $(CONDA_DEFAULT_ENV),conda))),)
PYTHON := python
READY  := active
else
PYTHON := .venv/bin/python
READY  := .venv/ready
endif

# Figures of another model than the preset's go beside those of the preset's.
space  := $(subst ,, )
SET    := $(PRESET)$(if $(MODEL),-$(subst $(space),-,$(subst /,-,$(MODEL))))
BUILD  := build/figures/$(SET)
FOLDER := paper_figures/$(SET)
HOW    := --preset $(PRESET) --model "$(MODEL)" --folder $(FOLDER) --plan $(BUILD)/plan

help: ## list the targets
	@grep -hE '^[a-z1-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 16

env: $(filter .venv/ready,$(READY)) ## set up .venv, or install into the active environment (TORCH_ARGS="..." goes to pip for torch)
ifeq ($(READY),active)
	$(call install)
endif

define install
$(PYTHON) -m pip install --quiet $(TORCH_ARGS) "$$(grep '^torch==' constraints.txt)"
$(PYTHON) -m pip install --quiet --constraint constraints.txt --editable '.[notebooks,sweeps,cluster,dev]'
@! git rev-parse --git-dir >/dev/null 2>&1 || git config filter.notebook.clean "'$$($(PYTHON) -c 'import sys; print(sys.executable)')' -m sdilib notebooks --clean"
endef

.venv/ready: pyproject.toml constraints.txt
	@$(SYSTEM_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one by SYSTEM_PYTHON=..." >&2; exit 2; }
	@test -n "$(TORCH_ARGS)" || test "$$(uname -s)" != Linux || echo "Without TORCH_ARGS, pip takes the torch of its own index: see 'What is installed' in README.md." >&2
	$(SYSTEM_PYTHON) -m venv .venv
	$(call install)
	@touch $@

# What an active environment has to have; installing into it is left to `make env`.
active:
	@$(PYTHON) -c 'from importlib.util import find_spec as f; import sys; sys.exit(not all(map(f, "torch diffusers papermill jupytext pytest".split())))' || { echo "The active environment lacks what sdilib needs: 'make env' installs it there, 'deactivate' makes way for our own." >&2; exit 2; }

figures: $(READY) ## make the paper's figures (FIG=9|A14|the_world PRESET=smoke|laptop|full|gpu MODEL=... THREADS=... AGAIN=1)
	@+todo=$$($(PYTHON) -m sdilib stale $(if $(FIG),'$(FIG)') $(HOW) $(if $(AGAIN),--again)) || exit; \
	$(MAKE) --no-print-directory --keep-going made TODO="$$todo"; status=$$?; $(MAKE) --no-print-directory gallery && exit $$status

made: $(TODO:%=$(BUILD)/%.ipynb)
	@$(if $(TODO),:,echo "all figures are up to date")

$(BUILD)/%.ipynb: FORCE
	$(PYTHON) -m sdilib notebook notebooks/$*.py $(HOW) --build $(BUILD)

FORCE:

gallery: $(if $(wildcard $(FOLDER)/*.json),$(FOLDER)/README.md)
	@:

$(FOLDER)/README.md: $(wildcard $(FOLDER)/*.json $(FOLDER)/NOTE.md notebooks/*.py sdilib/lab/notebooks/*.py sdilib/lab/notebooks/*.csv sdilib/lab/notebooks/*.md)
	$(PYTHON) -m sdilib gallery $(FOLDER)

check-figures: $(READY) ## fail on a figure that the present code, settings, model or evaluator did not make, or that is a smoke run
	$(PYTHON) -m sdilib check-figures $(filter-out paper_figures/$(PRESET),$(FOLDER)) --preset "$(PRESET)"

test: $(READY) ## run the tests, a process per core (ARGS="tests/core -n 0 ...")
	OMP_NUM_THREADS=$(or $(THREADS),1) $(PYTHON) -m pytest -n auto --dist worksteal $(ARGS)

soak: $(READY) ## try all the faults of which the tests try a sample, for hours (SOAK=0.1 ARGS="-k killed")
	SDILIB_SOAK=$(or $(SOAK),1) OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto -o faulthandler_timeout=0 tests/faults $(ARGS)

test-browser: $(READY) ## run the tests that look at pages in the system's Chromium (ARGS="...")
	SDILIB_BROWSER=1 OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --dist loadfile tests/browser $(ARGS)

installs: $(READY) ## try the wheel, without network, on each Python that is here (PYTHONS="3.12" RESOLUTION=newest|lowest TORCH=... TORCH_ARGS="..." CUDA=1)
	$(PYTHON) tests/installs/try_installs.py $(if $(PYTHONS),--python $(PYTHONS)) $(if $(RESOLUTION),--resolution $(RESOLUTION)) --torch="$(TORCH)" --torch-args="$(TORCH_ARGS)" $(if $(CUDA),--cuda)

lint: $(READY) ## check style, types and layers
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m pyright --pythonpath "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command as run; run()'

notebooks: $(READY) ## derive each notebook's .ipynb from its .py
	$(PYTHON) -m sdilib notebooks

lab: $(READY) ## open the notebooks in JupyterLab, on this machine only (ARGS="--no-browser --port 8889 ...")
	$(PYTHON) -m jupyterlab --config=sdilib/lab/notebooks/jupyterlab.json $(ARGS)

app: $(READY) ## open the explorer and the results in the browser, on this machine only (MODEL=... ARGS="--port ... --no-browser")
	$(PYTHON) -m sdilib app $(if $(MODEL),--model "$(MODEL)") $(ARGS)

screenshots: $(READY) ## take README's pictures of the explorer and the results again (ARGS="-k explorer")
	SDILIB_BROWSER=1 $(PYTHON) -m pytest -n 0 -q tests/browser/take_screenshots.py $(ARGS)

# They are to be looked at, not resumed: their scenes are removed; their pictures, logs and meshes are small, and stay.
examples: FFMPEG = "$$($(PYTHON) -c 'import imageio_ffmpeg as f; print(f.get_ffmpeg_exe())')" -loglevel error
examples: SMALLER = 'scale=128:-1,split[film][few];[few]palettegen=128[colours];[film][colours]paletteuse=dither=none'
examples: $(READY) ## make the three finished runs that the results show at first (ARGS="--model ...")
	rm -rf $(EXAMPLES)
	$(PYTHON) -m sdilib run --root $(EXAMPLES) --prompt "a red spotted mushroom" --rule sdi $(ARGS)
	$(PYTHON) -m sdilib run --root $(EXAMPLES) --prompt "a red spotted mushroom" --rule sds --guidance-scale 3 --set weight=sigma $(ARGS)
	$(PYTHON) -m sdilib run --root $(EXAMPLES) --prompt "a blue rocket" --scene image $(ARGS)
	$(PYTHON) -m sdilib runs export --root $(EXAMPLES) sdi-a-red sds-a-red --resolution 48 --density 3
	cd $(EXAMPLES) && rm -f */.lock */scene.safetensors */mesh.glb */mesh.obj */mesh.ply */turntable.mp4 */views.png */preview.png
	for film in $(EXAMPLES)/*/turntable.gif; do $(FFMPEG) -i $$film -filter_complex $(SMALLER) $$film.gif && mv $$film.gif $$film || exit; done

train: $(READY) ## train a model of the world (ARGS="vae ...", then ARGS="unet ...", or ARGS="evaluator ...")
	$(PYTHON) -m sdilib train $(ARGS)

bench: $(READY) ## time a step of each rule, the parts of a 3D step, and the explorer's first picture (ARGS="--model ... --batch ...")
	$(PYTHON) tests/benchmarks/bench_step.py $(ARGS)
	$(PYTHON) tests/benchmarks/bench_step_3d.py $(ARGS)
	$(PYTHON) tests/benchmarks/bench_explorer.py $(ARGS)

bench-sweep: $(READY) ## what a sweep costs besides its runs: up to 1,000 workers and 10,000 runs, minutes to an hour (ARGS="--runs ... --workers ...")
	$(PYTHON) tests/benchmarks/bench_sweep.py --out paper_figures/sweeps.json --page paper_figures/sweeps.md $(ARGS)

bench-memory: $(READY) ## peak memory of a NeRF's step over size and samples per ray (ARGS="--sizes ... --samples ...")
	$(PYTHON) tests/benchmarks/bench_deferred.py --out paper_figures/memory.json --figure paper_figures/memory.png $(ARGS)

gpu-check: $(READY) ## check a GPU against the CPU, time a step with the paper's settings, say what γ means to a model (ARGS="--model ... --size ...")
	$(PYTHON) -m sdilib gpu-check $(ARGS)

model-card: $(READY) ## measure what the bundled model's card lacks and write it (ARGS="--again" measures all, 45 minutes; "--model ... --training ... --count ...")
	$(PYTHON) -m sdilib model-card $(ARGS)

table1: $(READY) ## make the paper's Table 1, in 2D and in 3D (PRESET=... MODEL=... THREADS=... AGAIN=1)
	@+$(MAKE) --no-print-directory figures FIG=table1

clean: ## remove build/ and the figures that git ignores; .venv stays
	rm -rf build dist $(filter-out paper_figures/full/,$(wildcard paper_figures/*/))

.PHONY: help env figures active made gallery check-figures test test-browser soak installs lint notebooks lab app screenshots examples train table1 model-card bench bench-memory bench-sweep gpu-check clean FORCE
.DEFAULT_GOAL := help
