"""Prompts to try: in the words of the bundled world, and the paper's."""

NUM_EXAMPLES = 16
"""Number of a model's `example_prompts`, and so the most that a notebook can be given."""

SEEDS = 100
"""From a prompt's first seed to the next prompt's: with a shared one, prompts would share noise and cameras."""

WORLD_PROMPTS = (
    "a red spotted mushroom",
    "an orange striped cottage",
    "a blue rocket",
    "a green cactus",
    "a pink ice cream",
    "a yellow car",
    "a teal checkered teapot",
    "a purple snowman",
    "a yellow spotted mug",
    "a red striped cat",
    "a blue spotted boat",
    "an orange pumpkin",
    "a green striped turtle",
    "a pink checkered burger",
    "a red strawberry",
    "a teal astronaut",
)
"""Prompts in the bundled model's words."""

PAPER_PROMPTS = (
    "A photograph of a ninja",
    "A DSLR photograph of a hamburger",
    "A 3D model of an adorable cottage with a thatched roof",
    "An ice cream sundae",
    "Bagel filled with cream cheese and lox",
    "A small saguaro cactus planted in a clay pot",
    "A ripe strawberry",
    "A ceramic lion",
    "An iguana holding a balloon",
    "A DSLR photo of a white fluffy cat",
    "A sea turtle",
    "A photograph of a knight",
    "A plush dragon toy",
    "A car made out of sushi",
    "A cauldron full of gold coins",
    "An astronaut",
)
"""Some of the paper's prompts (figures 1 and 6 to 11, and Table 1)."""


def example_prompts(draws_world: bool) -> tuple[str, ...]:
    """Return prompts to try: in the world's words, or the paper's.

    Args:
        draws_world: of the model, see `StableDiffusion`.
    """
    return WORLD_PROMPTS if draws_world else PAPER_PROMPTS
