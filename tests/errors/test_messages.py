"""Every message a user can meet, word for word: parameter, value, what is allowed, the closest.

A row is the whole sentence, … standing for a part that varies, and a call that goes wrong so.
"""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from sdilib.cameras import Camera, sample_cameras
from sdilib.denoiser import PromptEmbeddings
from sdilib.distillation import distill
from sdilib.guidance import (
    ASD,
    CSD,
    ESD,
    ISM,
    NFSD,
    PFD,
    SDI,
    SDS,
    VSD,
    HiFA,
    SDSBridge,
    StableSD,
    SteinDreamer,
    Update,
    View,
)
from sdilib.guidance.named import rule_settings
from sdilib.inversion import DDIMInversion, FixedPoint, GradientDescent, invert
from sdilib.lab import exercises
from sdilib.nerf.field import NeRF
from sdilib.nerf.hash_grid import HashGrid
from sdilib.nerf.regularisers import Penalties
from sdilib.nerf.scene import NeRFScene
from sdilib.oracle import GaussianMixture
from sdilib.sampling import ddim, denoise_back
from sdilib.scenes import ImageScene
from sdilib.schedule import NoiseSchedule, TimeSchedule, time_grid
from sdilib.seeds import generator as generator_at
from sdilib.seeds import normal, uniform
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.loading import random_pipeline
from sdilib.storage import load_tensors, save_tensors
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D

MIXTURE = GaussianMixture(torch.zeros(2, 4, 2, 2), torch.ones(2), torch.ones(2))
PROMPT = MIXTURE.prompt([[0]])
X0 = torch.zeros(1, 4, 2, 2)
SCHEDULE = NoiseSchedule.scaled_linear()


def at(t: float) -> torch.Tensor:
    return torch.tensor([t], dtype=torch.float64)


def run(scene: ImageScene | None = None, **changed) -> None:
    scene = scene or ImageScene(torch.zeros(1, 4, 2, 2))
    settings = {"prompt": PROMPT, "num_steps": 2} | changed
    list(distill(scene, SDS(MIXTURE), **settings))


def seen(**changed) -> NeRFScene:
    grid = HashGrid(num_levels=2, log2_table_size=4)
    return NeRFScene(NeRF(grid=grid), Camera.around([0]), height=8, width=8, **changed)


def fresh() -> list[torch.Generator]:
    return [generator_at(0, 0, "x", i) for i in range(2)]


FINITE = "expected a finite number"
WEIGHT = "expected one of sigma, 1-alpha, 1"
COUNT = "expected an integer of at least 1"

TABLE: dict[str, Callable[[], object]] = {
    # gamma
    f"guidance_scale=nan: {FINITE}": lambda: SDS(MIXTURE, math.nan),
    f"guidance_scale=inf: {FINITE}": lambda: SDI(MIXTURE, math.inf),
    f"guidance_scale=-inf: {FINITE}": lambda: ISM(MIXTURE, -math.inf),
    f"guidance_scale=…: {FINITE}": lambda: MIXTURE.guided(PROMPT, math.nan),
    f"inversion_guidance_scale=nan: {FINITE}": lambda: DDIMInversion(guidance_scale=math.nan),
    # exercises
    "notebook='none.ipynb': expected an existing .py or .ipynb file": lambda: exercises.grade(
        "none.ipynb"
    ),
    "seconds=0.0: expected a number above 0": lambda: exercises.grade(__file__, seconds=0.0),
    f"seconds=nan: {FINITE}": lambda: exercises.grade(__file__, seconds=math.nan),
    "answer='at': expected one of add_noise, guide, sds, invert, sdi, vsd": lambda: exercises.check(
        at
    ),
    # cameras, fields and grids
    "distance=0.0: expected a number in (0, 1000]": lambda: Camera.around([0], distance=0.0),
    "elevation_degrees=90.0: expected a number in [-89, 89]": lambda: Camera.around(
        [0], elevation_degrees=90.0
    ),
    "distance=(4.0, 3.0): expected (lower end, upper end)": lambda: sample_cameras(
        1, generator_at(0, 0, "x"), distance=(4.0, 3.0)
    ),
    f"height=0: {COUNT}": lambda: Camera.around([0]).rays(0, 4),
    "activation='relu': expected one of softplus, exp": lambda: NeRF(activation="relu"),
    "background='black': expected one of fixed, random, environment": lambda: NeRF(
        background="black"
    ),
    f"num_samples=0: {COUNT}": lambda: seen(num_samples=0),
    f"rays_per_patch=0: {COUNT}": lambda: seen(rays_per_patch=0),
    "backend='numbra': expected one of numba, torch, tinycudann; did you mean numba?": lambda: (
        HashGrid(backend="numbra")
    ),
    "finest_resolution=8: expected an integer of at least 16": lambda: HashGrid(
        base_resolution=16, finest_resolution=8
    ),
    "positions='a tensor with a graph': expected positions without one": lambda: HashGrid(
        num_levels=2, log2_table_size=4
    )(torch.zeros(1, 3, requires_grad=True)),
    # t
    "t=1.5: expected times in [0, 1]": lambda: SCHEDULE.sigma(1.5),
    "t=-0.1: expected times in [0, 1]": lambda: SCHEDULE.timestep(-0.1),
    "t=nan: expected times in [0, 1]": lambda: SCHEDULE.alpha_cumprod(math.nan),
    "t=[2.0]: expected times in [0, 1]": lambda: SCHEDULE.sigma(at(2.0)),
    "t=[1.1]: expected times in [0, 1]": lambda: SDS(MIXTURE)(
        X0, at(1.1), View(PROMPT), generator_at(0, 0, "x")
    ),
    "t=0.0: expected a number in (0, 1]": lambda: next(invert(X0, MIXTURE.guided(PROMPT), t=0.0)),
    "t_start=1.2: expected a number in (0, 1]": lambda: run(t_start=1.2),
    "t_end=0.6: expected a number in [0, 0.5]": lambda: run(t_start=0.5, t_end=0.6),
    "t_end=-0.5: expected a number in [0, 1]": lambda: time_grid(3, 1.0, -0.5),
    "times=[0.1, 0.5]: expected at least two falling times in [0, 1]": lambda: next(
        ddim(X0, MIXTURE.guided(PROMPT), times=[0.1, 0.5])
    ),
    "step=5: expected a number in [0, 4]": lambda: TimeSchedule().at(5, 5),
    'generator=None: expected a generator, or one per item, for t_schedule="random"': lambda: (
        TimeSchedule("random").at(0, 5)
    ),
    # counts
    f"num_inversion_steps=0: {COUNT}": lambda: DDIMInversion(num_inversion_steps=0),
    f"num_inversion_steps=-2: {COUNT}": lambda: ISM(MIXTURE, num_inversion_steps=-2),
    f"num_inversion_steps=-1: {COUNT}": lambda: next(
        invert(X0, MIXTURE.guided(PROMPT), t=1.0, num_inversion_steps=-1)
    ),
    f"num_iterations=0: {COUNT}": lambda: FixedPoint(0),
    f"num_iterations=-1: {COUNT}": lambda: GradientDescent(-1),
    f"learning_rate=nan: {FINITE}": lambda: GradientDescent(1, math.nan),
    f"num_steps=0: {COUNT}": lambda: run(num_steps=0),
    "first_step=-1: expected an integer of at least 0": lambda: run(first_step=-1),
    f"num_steps=-1: {COUNT}": lambda: time_grid(-1),
    # options of the inversion
    "tau_max=2.0: expected a number in [0, 1]": lambda: DDIMInversion(tau_max=2.0),
    "entropy=-0.3: expected a number of at least 0": lambda: DDIMInversion(entropy=-0.3),
    "inversion_start=1.5: expected a number in [0, 1]": lambda: DDIMInversion(inversion_start=1.5),
    "start=-0.1: expected a number in [0, 1]": lambda: next(
        invert(X0, MIXTURE.guided(PROMPT), t=1.0, start=-0.1)
    ),
    f"entropy=nan: {FINITE}": lambda: DDIMInversion(entropy=math.nan),
    # names
    f"weight='sgima': {WEIGHT}; did you mean sigma?": lambda: SDS(MIXTURE, weight="sgima"),
    f"weight='w': {WEIGHT}": lambda: SDI(MIXTURE, weight="w"),
    f"weight='v': {WEIGHT}": lambda: ISM(MIXTURE, weight="v"),
    # settings of rules
    "threshold=1.5: expected a number in [0, 1]": lambda: NFSD(MIXTURE, threshold=1.5),
    "avoided_prompt='ugly': expected '' for GaussianMixture, which reads no text": lambda: NFSD(
        MIXTURE, avoided_prompt="ugly"
    ),
    "negative_share=-0.5: expected a number in [0, 1]": lambda: CSD(MIXTURE, negative_share=-0.5),
    "high=nan: expected a number in [0, 1]": lambda: StableSD(MIXTURE, high=math.nan),
    "low=0.5: expected a number in [0, 0.4]": lambda: StableSD(MIXTURE, high=0.4, low=0.5),
    f"num_denoising_steps=0: {COUNT}": lambda: PFD(MIXTURE, num_denoising_steps=0),
    "generator=None: expected a generator, or one per item, for eta above 0": lambda: denoise_back(
        X0, MIXTURE.guided(PROMPT), t=at(0.5), num_steps=[2], eta=1.0
    ),
    f"num_denoising_steps=-1: {COUNT}": lambda: HiFA(MIXTURE, num_denoising_steps=-1),
    "eta=2.0: expected a number in [0, 1]": lambda: HiFA(MIXTURE, eta=2.0),
    "rgb_weight=-1.0: expected a number of at least 0": lambda: HiFA(MIXTURE, rgb_weight=-1.0),
    f"rank=0: {COUNT}": lambda: VSD(MIXTURE, rank=0),
    "adapter_steps=-1: expected an integer of at least 0": lambda: VSD(MIXTURE, adapter_steps=-1),
    "adapter_rate=0.0: expected a number in (0, 1]": lambda: VSD(MIXTURE, adapter_rate=0.0),
    "camera_dropout=1.5: expected a number in [0, 1]": lambda: VSD(MIXTURE, camera_dropout=1.5),
    "order='befor': expected one of after, before; did you mean before?": lambda: VSD(
        MIXTURE, order="befor"
    ),
    "entropy_share=-0.1: expected a number in [0, 1]": lambda: ESD(MIXTURE, entropy_share=-0.1),
    "memory=1.1: expected a number in (0, 1]": lambda: SteinDreamer(MIXTURE, memory=1.1),
    "memory=0.0: expected a number in (0, 1]": lambda: SteinDreamer(MIXTURE, memory=0.0),
    "weight='1-alfa': expected one of sigma, 1-alpha, 1; did you mean 1-alpha?": lambda: (
        Update.from_noises(
            X0, at(0.5), kappa=X0, eps=X0, schedule=SCHEDULE, num_forwards=0, weight="1-alfa"
        )
    ),
    "shift=-1.0: expected a number in [0, 1]": lambda: ASD(MIXTURE, shift=-1.0),
    "first_share=2.0: expected a number in [0, 1]": lambda: SDSBridge(MIXTURE, first_share=2.0),
    "wanted='sharp': expected '' for GaussianMixture, which reads no text": lambda: SDSBridge(
        MIXTURE, wanted="sharp"
    ),
    f"inversion_guidance_scale=inf: {FINITE}": lambda: PFD(
        MIXTURE, inversion_guidance_scale=math.inf
    ),
    (
        "t_schedule='lineer': expected one of linear, sqrt, dreamtime, pieces, random, lowered, window; "
        "did you mean linear?"
    ): lambda: run(t_schedule="lineer"),
    "through='encode': expected one of encoder, decoder; did you mean encoder?": lambda: Text3D(
        "a mug", through="encode"
    ),
    "latents='encode': expected one of encoded, free; did you mean encoded?": lambda: Text2D(
        "a mug", latents="encode"
    ),
    "space='pixel': expected one of latents, pixels; did you mean pixels?": lambda: ImageScene(
        X0, space="pixel"
    ),
    (
        "rule='sdss': expected one of sdi, sds, ism, …, or a rule of your own as module:Rule or "
        "file.py:Rule; did you mean sds?"
    ): lambda: Text2D("a mug", rule="sdss"),
    (
        "rule=<class …SDS'>: expected a rule: an object that is called as "
        "rule(x0, t, view, generator)"
    ): lambda: list(distill(ImageScene(X0), SDS, prompt=PROMPT, num_steps=2)),
    (
        "kappa='rando': expected one of inversion, random, fixed, cached, fixed point, "
        "gradient descent; did you mean random?"
    ): lambda: Text2D("a mug", rule_settings={"kappa": "rando"}),
    "kappa='cached': expected another one in 3D, where not the rule alone moves the image": lambda: (
        Text3D("a mug", rule_settings={"kappa": "cached"})
    ),
    "setting='tau_max': expected one that rule sds reads: guidance_scale, weight": lambda: Text2D(
        "a mug", rule="sds", rule_settings={"tau_max": 0.1}
    ),
    "setting='step': expected one of …; did you mean steps?": lambda: Text2D.of(
        prompt="a mug", step=3
    ),
    "rule=1: expected a text with at least one word": lambda: Text2D.of(prompt="a mug", rule=1),
    "rule_settings=5: expected settings by name": lambda: Text3D.of(
        prompt="a mug", rule_settings=5
    ),
    "guidance_scale='7.5': expected a value of type float": lambda: Text2D(
        "a mug", rule_settings={"guidance_scale": "7.5"}
    ),
    "guidance_scale=True: expected a value of type float": lambda: rule_settings(
        "sds", {"guidance_scale": True}
    ),
    "weight=1: expected a value of type str": lambda: rule_settings("sds", {"weight": 1}),
    "renoise=1: expected a value of type bool": lambda: rule_settings("sdi", {"renoise": 1}),
    "num_inversion_steps=2.0: expected a value of type int": lambda: rule_settings(
        "ism", {"num_inversion_steps": 2.0}
    ),
    "setting='guidance_scal': expected one that rule sds reads: guidance_scale, weight; did you mean guidance_scale?": lambda: (
        rule_settings("sds", {"guidance_scal": 7.5})
    ),
    "setting='descent_rate': expected one that rule sdi reads: guidance_scale, kappa, renoise, weight": lambda: (
        rule_settings("sdi", {"kappa": "random", "descent_rate": 5})
    ),
    "rule='none.py': expected an existing file": lambda: rule_settings("none.py"),
    "rule='sdilib.none:Rule': expected a module that can be imported (ModuleNotFoundError: No module named 'sdilib.none')": lambda: (
        rule_settings("sdilib.none:Rule")
    ),
    "rule='IMS': expected one of SDI, MVSDI, PFD, ISM; did you mean ISM?": lambda: rule_settings(
        "sdilib.guidance.sdi:IMS"
    ),
    "sparsity=-1.0: expected a number in [0, 1e+06]": lambda: Penalties(sparsity=-1.0),
    # scene, prompts, seeds
    (
        "codec=None: expected an object with encode and decode, such as the model, "
        "for a scene in pixels"
    ): lambda: run(ImageScene(torch.zeros(1, 3, 4, 4), space="pixels")),
    "prompt='1 prompts': expected one for each of the scene's 2 images": lambda: run(
        ImageScene(torch.zeros(2, 4, 2, 2))
    ),
    "seeds=[1, 2]: expected one number, or one for each of the 1 prompts": lambda: run(
        seeds=[1, 2]
    ),
    "generator=2: expected one generator, or one for each of 3 items": lambda: normal(
        torch.zeros(3, 1), fresh()
    ),
    "generator=2: expected one generator, or one for each of 1 items": lambda: uniform(1, fresh()),
    "negative_weights=(): expected 1 numbers, one per negative prompt": lambda: PromptEmbeddings(
        X0, X0, (X0,)
    ),
    "negative_weights=-1.0: expected numbers of at least 0": lambda: PromptEmbeddings(
        X0, X0, (X0,), (-1.0,)
    ),
    "negative_weights=[1.0, 1.0]: expected one number, or one for each of 1 items": lambda: (
        PromptEmbeddings(X0, X0, (X0,), (torch.ones(2),))
    ),
    f"negative_weights=nan: {FINITE}": lambda: PromptEmbeddings(X0, X0, (X0,), (math.nan,)),
    # the schedule's configuration
    "rescale_betas_zero_snr=True: expected false (zero terminal SNR makes sigma(1) infinite)": lambda: (
        NoiseSchedule.from_config({"rescale_betas_zero_snr": True})
    ),
    (
        "alphas_cumprod='0.9 … 0': expected values falling strictly from below 1 to above 0 "
        "(…zero terminal SNR…)"
    ): lambda: NoiseSchedule.from_config({"trained_betas": [0.1, 0.5, 1.0]}),
    (
        "beta_schedule='scaled_linea': expected one of linear, scaled_linear, squaredcos_cap_v2; "
        "did you mean scaled_linear?"
    ): lambda: NoiseSchedule.from_config({"beta_schedule": "scaled_linea"}),
    "prediction_type='sample': expected one of epsilon, v_prediction": lambda: (
        NoiseSchedule.from_config({"prediction_type": "sample"})
    ),
    "num_train_timesteps=1: expected an integer of at least 2 and at most 100000": lambda: (
        NoiseSchedule.from_config({"num_train_timesteps": 1})
    ),
    # the mixture
    "stds=[-1.0]: expected numbers of at least 0": lambda: GaussianMixture(
        torch.zeros(1, 1), -torch.ones(1), torch.ones(1)
    ),
    "weights=[0.0]: expected positive numbers": lambda: GaussianMixture(
        torch.zeros(1, 1), torch.ones(1), torch.zeros(1)
    ),
    "components=[]: expected at least one index from 0 to 1": lambda: MIXTURE.prompt([[]]),
    (
        "scheduler='FlowMatchEulerDiscreteScheduler': expected one of a DDPM, with a beta_schedule "
        "or trained_betas"
    ): lambda: NoiseSchedule.from_config({"_class_name": "FlowMatchEulerDiscreteScheduler"}),
    (
        "scheduler='EDMEulerScheduler': expected one of a DDPM, with a beta_schedule or "
        "trained_betas"
    ): lambda: NoiseSchedule.from_config(
        {"_class_name": "EDMEulerScheduler", "beta_schedule": "linear"}
    ),
    "size=100000: expected an integer of at least 1 and at most 4096": lambda: Text3D(
        "a mug", size=100_000
    ),
    "prediction_type='flow_prediction': expected one of epsilon, v_prediction": lambda: (
        NoiseSchedule.from_config({"prediction_type": "flow_prediction"})
    ),
    "timestep_type='continuous': expected \"discrete\" (EDM's times are its noise levels)": lambda: (
        NoiseSchedule.from_config({"timestep_type": "continuous"})
    ),
    "use_flow_sigmas=True: expected false (flow matching has no betas)": lambda: (
        NoiseSchedule.from_config({"use_flow_sigmas": True})
    ),
    "beta_start='0.1': expected a number in (0, 1]": lambda: NoiseSchedule.from_config(
        {"beta_schedule": "linear", "beta_start": "0.1"}
    ),
    "trained_betas=[0.1]: expected as many numbers as num_train_timesteps says": lambda: (
        NoiseSchedule.from_config({"trained_betas": [0.1], "num_train_timesteps": 9})
    ),
    "negative_prompt=' ': expected a text with at least one word, or \"\"": lambda: Text2D(
        "a mug", negative_prompt=" "
    ),
    # models that do not exist
    "model='': expected mini, tiny, sd21, an existing folder, or a hub id owner/name": lambda: (
        StableDiffusion.from_pretrained("")
    ),
    (
        "model='tinny': expected mini, tiny, sd21, an existing folder, or a hub id owner/name; "
        "did you mean tiny?"
    ): lambda: StableDiffusion.from_pretrained("tinny"),
    (
        "model='./models/none': expected mini, tiny, sd21, an existing folder, "
        "or a hub id owner/name"
    ): lambda: StableDiffusion.from_pretrained("./models/none"),
    (
        "model='stabilityai/stable-diffusion-2-1-base': expected another, as make figures PRESET=gpu "
        "MODEL=a/folder or sdilib run --model a/folder gives it: its owner has withdrawn this one "
        "from the hub; README says where copies are"
    ): lambda: StableDiffusion.from_pretrained("stabilityai/stable-diffusion-2-1-base"),
    "device='meta': expected a device that torch has here, such as cpu or cuda": lambda: (
        StableDiffusion.from_pretrained("tiny", device="meta")
    ),
    "model='own er/..name': expected a hub id that can be fetched or is in the cache, or a folder": lambda: (
        StableDiffusion.from_pretrained("own er/..name")
    ),
    (
        "model='nobody/nothing': expected a hub id that can be fetched or is in the cache, "
        "or a folder"
    ): lambda: StableDiffusion.from_pretrained("nobody/nothing"),
}


def pattern(sentence: str) -> str:
    return "^" + ".*".join(re.escape(part) for part in sentence.split("…")) + "$"


def check(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its whole text is compared
        call()
    text = str(caught.value)
    if sentence not in text or sentence != text:
        assert re.match(pattern(sentence), text), f"{text!r} is not {sentence!r}"
    assert "\n" not in text


@pytest.mark.parametrize("sentence", TABLE)
def test_message(sentence):
    check(TABLE[sentence], sentence)


@pytest.fixture
def folder(tmp_path) -> Path:
    random_pipeline("tiny").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_without_an_index(folder):
    (folder / "model_index.json").unlink()
    check(
        lambda: StableDiffusion.from_pretrained(str(folder)),
        f"model='{folder}': expected a folder in diffusers' format, with a model_index.json",
    )


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_folder_with_weights_missing(folder, part):
    for file in (folder / part).glob("*.safetensors"):
        file.unlink()
    check(
        lambda: StableDiffusion.from_pretrained(str(folder)),
        f"model='{folder}': expected a folder with weights in {part}/*.safetensors",
    )


def test_a_single_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    path = str(tmp_path / "model.safetensors")
    check(
        lambda: StableDiffusion.from_pretrained(path),
        f"model={path!r}: expected a folder in diffusers' format, which "
        f"StableDiffusionPipeline.from_single_file({path!r}).save_pretrained('a folder') makes of "
        "this file",
    )


def test_weights_of_which_some_are_lora_s(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_tensors(path)
    tensors["conv_in.lora_A.default.weight"] = torch.zeros(1)
    tensors["conv_in.base_layer.weight"] = tensors.pop("conv_in.weight")
    save_tensors(path, tensors)
    check(
        lambda: StableDiffusion.from_pretrained(str(folder)),
        f"model='{folder}': expected unet/diffusion_pytorch_model.safetensors with the tensors "
        "that unet/config.json describes, not with 1 missing (conv_in.weight, …) and 2 unexpected "
        "(conv_in.base_layer.weight, …); LoRA weights are to be fused first, by peft's "
        "merge_and_unload",
    )


@pytest.mark.parametrize(
    "family",
    ["StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "FluxPipeline", "IFPipeline"],
)
def test_a_folder_of_another_family(folder, family):
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": family}))
    check(
        lambda: StableDiffusion.from_pretrained(str(folder)),
        f"model='{folder}': expected a StableDiffusionPipeline (Stable Diffusion 1.x or 2.x) "
        f"in model_index.json, not a {family}",
    )


def wrong(folder: Path, file: str, content: str | bytes | None) -> str:
    """What is said of a model's folder of which one file is gone, or is another."""
    path = folder / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=r"^model=") as refused:
        StableDiffusion.from_pretrained(str(folder))
    said = str(refused.value)
    assert "\n" not in said
    return said


SCHEDULER = "scheduler/scheduler_config.json"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("model_index.json", "[]", "a usable model_index.json in it"),
        ("model_index.json", "{", "a usable model_index.json in it"),
        (SCHEDULER, '{"_class_name": "FlowMatchEulerDiscreteScheduler"}', "one of a DDPM"),
        (SCHEDULER, '{"_class_name": "EDMEulerScheduler"}', "one of a DDPM"),
        (WEIGHTS, b"cut off", f"a usable {WEIGHTS} in it"),
        (WEIGHTS, None, "weights in unet/*.safetensors"),
        ("tokenizer/tokenizer.json", None, "tokenizer/tokenizer.json in it, or vocab.json"),
        ("tokenizer/tokenizer.json", "{}", "tokenizer.json"),
    ],
)
def test_a_file_that_is_gone_or_another_is_named(folder, file, content, expected):
    assert expected in wrong(folder, file, content)


def test_a_vocabulary_that_is_lost_is_named(folder):
    path = folder / "tokenizer" / "tokenizer.json"
    said = json.loads(path.read_text())
    said["model"] |= {"vocab": {}, "merges": []}
    assert "tokenizer.json" in wrong(folder, "tokenizer/tokenizer.json", json.dumps(said))


def test_a_tokenizer_that_is_not_there(folder):
    shutil.rmtree(folder / "tokenizer")
    check(
        lambda: StableDiffusion.from_pretrained(str(folder)),
        f"model='{folder}': expected tokenizer/tokenizer.json in it, or vocab.json and merges.txt there",
    )


@pytest.mark.parametrize("change", ["nan", "shape"])
def test_weights_that_cannot_be_right_are_named(folder, change):
    tensors = load_file(folder / WEIGHTS)
    name = min(name for name, tensor in tensors.items() if tensor.dim() == 4)
    tensors[name] = (
        tensors[name] * torch.nan if change == "nan" else tensors[name][..., :-1].clone()
    )
    said = wrong(folder, WEIGHTS, save(tensors))
    assert "unet/config.json and diffusion_pytorch_model.safetensors" in said


def test_a_model_with_zero_terminal_snr(folder):
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    config["rescale_betas_zero_snr"] = True
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    check(
        lambda: StableDiffusion.from_pretrained(str(folder)),
        f"model='{folder}': expected a usable scheduler/scheduler_config.json in it "
        "(rescale_betas_zero_snr=True: expected false (zero terminal SNR makes sigma(1) infinite))",
    )


@pytest.mark.parametrize("prompts", [[""], ["a mug", "  "], []])
def test_an_empty_prompt(tiny, prompts):
    empty = prompts[-1] if prompts else ""
    check(lambda: tiny.embed(prompts), f"prompt={empty!r}: expected a text with at least one word")


def test_a_text_in_place_of_a_list(tiny):
    check(lambda: tiny.embed("a red mug"), "prompts='a red mug': expected a list of texts")


def test_a_prompt_that_is_too_long(tiny):
    text = " ".join(["mug"] * 40)
    check(
        lambda: tiny.embed([text]), f"prompt='{text}': expected at most … tokens (this one has 40)"
    )


def test_a_word_the_model_does_not_know():
    model = StableDiffusion(random_pipeline("tiny"), words=["a", "mug", "red"])
    check(
        lambda: model.embed(["a red mugg"]),
        "prompt='mugg': expected the bundled model's words only (a, mug, red); "
        "'mugg' is unknown; did you mean mug?",
    )


def test_a_size_the_vae_cannot_divide(tiny):
    check(
        lambda: tiny.encode(torch.zeros(1, 3, 16, 15)),
        "images='16x15': expected height and width divisible by 2",
    )
