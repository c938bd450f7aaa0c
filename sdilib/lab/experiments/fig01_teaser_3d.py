"""Figure 1 in 3D, panels d and e: SDS at γ = 100 and SDI at γ = 7.5; and SDS at SDI's own γ."""

from sdilib.lab.claims import Less
from sdilib.lab.presets import SDS_TIMES

_SDS = SDS_TIMES | {"rule": "sds"}

BURNT, BLURRY = "SDS, γ = 100", "SDS, γ = 7.5"

VARIANTS = {
    BURNT: _SDS | {"guidance_scale": 100.0},
    BLURRY: _SDS | {"guidance_scale": 7.5},
    "SDI": {},
}

CLAIMS = (
    Less("SDS at γ = 7.5 has less fine detail than SDI", "fine detail", BLURRY, "SDI"),
    Less("SDS at γ = 100 is more saturated than SDI", "saturation", "SDI", BURNT),
    *(
        Less(f"SDI's {what} than {whose}", measure, "SDI", rival)
        for rival, whose in ((BLURRY, "SDS's at γ = 7.5"), (BURNT, "SDS's at γ = 100"))
        for measure, what in (
            ("deviation of saturation", "saturation is nearer the true object's"),
            ("deviation of fine detail", "fine detail is nearer the true object's"),
            ("kernel distance", "views are nearer to real renders (kernel distance)"),
        )
    ),
)
