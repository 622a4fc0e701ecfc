"""Slurm's scripts as text: what they ask for, in which order, and that a shell can read them."""

from __future__ import annotations

import subprocess

import pytest

from hierprob3d.pipelines.parts.array_limits import arrays_for
from hierprob3d.pipelines.parts.slurm_scripts import (
    Chain,
    scripts,
    submission_text,
    submissions,
    time_limit,
    without_resources,
)


def chain_of(num_parts: int = 8, max_size: int = 1001) -> Chain:
    return Chain(
        output="/shared/my out",
        num_parts=num_parts,
        command=("predict", "/photos/*.jpg", "--output", "my out"),
        program=("/env/bin/python", "-m", "hierprob3d"),
        arrays=tuple(arrays_for(num_parts, max_size)),
        sbatch=("--partition", "long", "--gres=gpu:1", "-G", "2", "--time=4:00:00", "-c8"),
        setup="/home/me/setup.sh",
        folder="/home/me",
    )


def test_work_asks_for_a_warning_and_goes_on_after_it() -> None:
    text = scripts(chain_of())["work.sh"]
    head = [line.removeprefix("#SBATCH ") for line in text.splitlines() if "#SBATCH" in line]
    assert "--signal=B:TERM@180" in head and "--array=0-7" in head and "--requeue" in head
    assert "--gres=gpu:1" in head and "-G 2" in head and "--partition long" in head
    assert '"--output=/shared/my out/slurm/logs/%x-%A_%a.log"' in head
    assert "source /home/me/setup.sh" in text
    assert "work '/shared/my out' --part auto --part-offset \"${1:-0}\" &" in text
    assert "scontrol requeue" in text and '"$code" = 75' in text


def test_plan_and_finish_need_no_gpu_and_one_core() -> None:
    made = scripts(chain_of())
    for name in ("plan.sh", "finish.sh"):
        assert not any(word in made[name] for word in ("gpu", "-G", "-c8", "--mem"))
        assert "--partition long" in made[name] and "--time=4:00:00" in made[name]
    assert "plan --parts 8 -- predict '/photos/*.jpg' --output 'my out'" in made["plan.sh"]
    assert "finish '/shared/my out'" in made["finish.sh"]


def test_resources_are_for_the_array_alone() -> None:
    words = "-p gpu --gpus-per-node=2 --gres gpu:1 -G1 --gpus 1 --cpus-per-task 8 -N1 --exclusive"
    others = "--account=me --qos long -t 4:00:00 --mail-user=me --nice --comment=c --no-kill -Q"
    assert without_resources([*words.split(), *others.split()]) == ["-p", "gpu", *others.split()]


@pytest.mark.parametrize("option", ["--mem=64G", "--mem 64G", "--mem-per-cpu=3G"])
def test_plan_and_finish_ask_for_memory_of_their_own_where_parts_do(option: str) -> None:
    assert without_resources(["-A", "me", *option.split()]) == ["-A", "me", "--mem=3G"]


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (["--mem=4G"], None), (["--time=90"], 5400), (["-p", "gpu", "-t", "4:30"], 270),
        (["-t2:00:00"], 7200), (["--time", "1-2"], 93600), (["--time=1-0:10"], 87000),
        (["--time=soon"], None), (["--time=0"], None), (["--time-min=1", "--time=10"], 600),
        (["--time=10", "-t", "20"], 1200),
    ],
)  # fmt: skip
def test_time_limits(words: list[str], seconds: int | None) -> None:
    assert time_limit(words) == seconds


@pytest.mark.parametrize("name", ["plan.sh", "work.sh", "finish.sh"])
def test_a_shell_reads_them(name: str) -> None:
    text = scripts(chain_of())[name]
    assert text.startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n"], input=text.encode(), check=True)


def test_work_waits_for_plan_and_finish_for_all_arrays() -> None:
    chain = chain_of(num_parts=25, max_size=10)
    lines = submissions(chain, {"plan": "7", "work1": "8", "work2": "9", "work3": "10"})
    assert list(lines) == ["plan", "work1", "work2", "work3", "finish"]
    assert "--dependency=afterok:7" in lines["work2"]
    assert lines["work1"][-1].endswith("work.sh") and lines["work2"][-1] == "8"
    assert [next(w for w in lines[f"work{n}"] if "--array" in w) for n in (1, 2, 3)] == [
        "--array=0-7", "--array=0-7", "--array=0-8",
    ]  # fmt: skip
    assert "--dependency=afterany:8:9:10" in lines["finish"]


def test_submission_as_lines_for_a_shell() -> None:
    text = submission_text(chain_of())
    assert text.splitlines()[0] == "plan=$(sbatch --parsable '/shared/my out/slurm/plan.sh')"
    assert "--dependency=afterok:$plan" in text and "--dependency=afterany:$work" in text
    subprocess.run(["bash", "-n"], input=text.encode(), check=True)
