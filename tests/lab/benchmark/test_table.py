"""Tables of methods: intervals, the best, what cannot be told from it, and the three ways of writing it down."""

import numpy as np
import pytest

from sdilib.lab.benchmark.table import PAPERS_TABLE, Column, Ranking, Table, write_tables

PROMPTS = [f"prompt {k // 2}" for k in range(20)]  # ten, two seeds each
BASE = np.linspace(0.0, 1.0, 20)


def ranking(groups=PROMPTS, columns=None, **methods):
    columns = columns or [Column("score"), Column("cost", -1, digits=0), Column("absent")]
    numbers = {"score": methods, "cost": {name: 3 - values for name, values in methods.items()}}
    return Ranking("Equal steps", columns, numbers, groups, ["Encoder: compass."])


def test_what_cannot_be_told_from_the_best_is_bold_with_it():
    noise = np.repeat([0.2, -0.2, -0.2, 0.2, 0.1, -0.1, 0.3, -0.3, 0.1, -0.1], 2)
    cells = ranking(best=BASE + 1, close=BASE + 0.99 + noise, worse=BASE + 0.9).cells
    assert [cells[name]["score"].best for name in cells] == [True, False, False]
    assert [cells[name]["score"].tied for name in cells] == [True, True, False]
    # The other way round where less is better.
    assert [cells[name]["cost"].tied for name in cells] == [True, True, False]
    assert cells["best"]["score"].p == 1.0 > cells["close"]["score"].p > 0.05
    assert cells["worse"]["score"].p == pytest.approx(2 / 2**10)


def test_the_unit_is_the_prompt():
    cell = ranking(one=np.repeat(np.arange(10.0), 2)).cells["one"]["score"]
    assert cell.mean == 4.5
    spread = 1.96 * np.arange(10.0).std() / np.sqrt(10)
    assert cell.high - cell.low == pytest.approx(2 * spread, rel=0.15)


def test_seeds_of_too_few_prompts_rank_nothing():
    few = ranking([f"prompt {k % 7}" for k in range(20)], best=BASE + 1, worse=BASE)
    assert not any(cell.tied for row in few.cells.values() for cell in row.values())
    assert "Fewer than 8 prompts: nothing is ranked." in few.table.markdown()
    assert "**" not in few.table.markdown().replace("**Equal steps**", "")


def test_one_prompt_is_a_table_without_a_ranking():
    cells = ranking(["prompt"] * 20, one=BASE, two=BASE + 1).cells
    assert (cells["one"]["score"].mean, cells["two"]["score"].tied) == (0.5, False)
    assert cells["one"]["score"].low == cells["one"]["score"].high == pytest.approx(0.5)


def test_a_column_without_a_better_has_no_bold_cell():
    cells = ranking(columns=[Column("score", 0)], best=BASE + 1, worse=BASE).cells
    assert [row["score"].tied for row in cells.values()] == [False, False]


def test_it_is_written_as_markdown_and_latex(tmp_path):
    columns = [Column("score", scale=100.0, digits=1, unit="%")]
    made = ranking(columns=columns, one=np.full(20, 0.5), two=np.full(20, 0.25))
    theirs = Table("Theirs", [[("method", False)], [("one", False)]], ["Elsewhere."])
    write_tables([made, made], tmp_path, "table", theirs)
    text = (tmp_path / "table.md").read_text()
    assert "| method | score (%) ↑ |" in text
    assert "| one | **50.0 [50.0, 50.0]** |" in text
    assert "| two | 25.0 [25.0, 25.0] |" in text
    assert "Means over prompts (10) and seeds (2)" in text
    assert text.endswith(
        "Encoder: compass.\n\n**Theirs**\n\n| method |\n| --- |\n| one |\n\nElsewhere.\n"
    )
    latex = (tmp_path / "table.tex").read_text()
    assert r"method & score (\%) $\uparrow$ \\" in latex
    assert r"one & \textbf{50.0 [50.0, 50.0]} \\" in latex
    assert latex.count(r"\begin{tabular}{lc}") == 2
    assert "% Theirs\n% Elsewhere.\n\\begin{tabular}{l}" in latex
    write_tables([made], tmp_path, "alone")
    assert (tmp_path / "alone.md").read_text() == made.table.markdown() + "\n"


def test_the_papers_numbers_are_marked_as_the_papers_in_both():
    latex = PAPERS_TABLE.latex()
    assert "method, in the paper & CLIP Score" in latex
    assert r"VSD & 33.31 $\pm$ 2.39 & " in latex
    assert "% Stable Diffusion 2.1, 43 prompts" in latex
    assert "| method, in the paper | CLIP Score |" in PAPERS_TABLE.markdown()
    assert PAPERS_TABLE.markdown().startswith("**The paper's own numbers**")


def test_a_table_says_what_its_items_are():
    rings = [f"ring {k}" for k in range(20)]
    made = Ranking("The ring", [Column("score")], {"score": {"one": BASE}}, rings, unit="ring")
    assert "Means over rings (20), with 95 % intervals over rings. Bold" in made.table.markdown()
    assert made.record["rings"] == rings


def test_methods_are_recorded():
    made = ranking(worse=BASE, best=BASE + 1)
    assert made.record["cells"]["best"]["cost"]["tied"]
    assert made.record["prompts"] == PROMPTS


def test_methods_that_lack_a_measure_are_refused():
    made = ranking(one=BASE)
    made.numbers["cost"]["two"] = BASE
    with pytest.raises(ValueError, match="cost="):
        _ = made.cells
