"""`hierprob3d slurm` with commands of Slurm that are scripts of ours: what is asked of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierprob3d.pipelines.command.cli import main


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input of all commands, in the current folder."""
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of an sbatch that numbers jobs and notes what it was told, until `refuse` is there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {
        "sbatch": 'echo "$@" >> "$(dirname "$0")/asked"\n'
        'if [ -e "$(dirname "$0")/refuse" ] && [[ "$*" = *finish* ]]; then\n'
        "  echo 'sbatch: error: Batch job submission failed: invalid account' >&2; exit 1\nfi\n"
        'wc -l < "$(dirname "$0")/asked"\n',
        "scontrol": "echo 'MaxArraySize            = 11'\n",
        "scancel": 'echo "$@" >> "$(dirname "$0")/cancelled"\n',
    }
    for name, text in commands.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def words_for(output: Path, *options: str) -> list[str]:
    command = ["predict", "photos", "--output", str(output), "--seed", "12"]
    return ["slurm", "--parts", "12", *options, "--", *command]


def test_a_chain_is_submitted(
    fake_slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--sbatch=--time=1:00:00 --gres=gpu:1", "--at-once", "4")
    assert main(words_for(tmp_path / "out", *options)) == 0
    said = capsys.readouterr()
    assert said.out.split("\n") == ["plan 1", "work1 2", "work2 3", "finish 4", ""]
    assert f"inspect {tmp_path}/out shows how far it is" in said.err
    asked = (fake_slurm / "asked").read_text().splitlines()
    assert "--dependency=afterok:1" in asked[1] and "--array=0-5%2" in asked[1]
    assert asked[2].endswith("work.sh 6") and "--dependency=afterany:2:3" in asked[3]
    plan = (tmp_path / "out" / "slurm" / "plan.sh").read_text()
    assert f"--parts 12 -- predict photos --output {tmp_path}/out --seed 12" in plan
    assert "--time=1:00:00" in plan and "gres" not in plan


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "phtos"], "input not found: phtos"),
        (["predict", "photos", "photos/*.jpg"], "no file matches photos/*.jpg"),
        (["predict", "tar://*.jpg::photos.tar"], "input not found: tar://*.jpg::photos.tar"),
        (["predict", "photos", "--weights", "mine"], "/mine: there is no such file or folder"),
        (["evaluate", "--dataset", "3dpw", "--data", "3dpw"], "--data /"),
        (
            ["preprocess-3dpw", "--data", "memory://nowhere/3dpw", "--body-model", "smpl"],
            "--body-model",
        ),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_written(
    words: list[str], message: str, fake_slurm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["slurm", "--parts", "2", "--", *words, "--output", "out"]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not Path("out").exists() and not (fake_slurm / "asked").exists()


def test_stores_are_not_asked_and_data_that_are_made_not_missed(fake_slurm: Path) -> None:
    words = ["predict", "memory://nowhere/photos", "--output", "out"]
    assert main(["slurm", "--parts", "2", "--", *words]) == 0
    words = ["evaluate", "--dataset", "synthetic", "--data", "made", "--output", "other"]
    assert main(["slurm", "--parts", "2", "--", *words]) == 0


def test_inspect_says_what_the_chain_is_at_before_its_plan(
    fake_slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words_for(tmp_path / "out")) == 0
    (tmp_path / "out/slurm/logs/hierprob3d-plan-1.log").write_text("listing ...\nno such folder\n")
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "out is not planned yet: squeue" in said and "plan-1.log: no such folder" in said


def test_print_only_writes(
    fake_slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words_for(tmp_path / "out", "--print")) == 0
    assert "plan=$(sbatch" in capsys.readouterr().out
    assert not (fake_slurm / "asked").exists()
    names = sorted(path.name for path in (tmp_path / "out" / "slurm").iterdir())
    assert names == ["arrays.json", "finish.sh", "logs", "plan.sh", "work.sh"]


def test_what_sbatch_says_is_shown_and_no_half_chain_stays(
    fake_slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fake_slurm / "refuse").touch()
    assert main(words_for(tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "sbatch refused" in said and "failed: invalid account" in said
    assert (fake_slurm / "cancelled").read_text().split() == ["1", "2", "3"]
    assert main(["inspect", str(tmp_path / "out")]) == 2  # nothing is under way


def test_without_sbatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(words_for(tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "there is no sbatch on this machine" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--setup", "nowhere.sh"), "--setup nowhere.sh: there is no such file"),
        (("--sbatch=--array=1-5",), "--sbatch takes no --array"),
        (("--sbatch=--comment='open",), "No closing quotation"),
        (("--sbatch=--mem=4G -t 4:30",), "give them at least 5 minutes"),
        (("--at-once", "0"), "--at-once must be at least 1"),
    ],
)
def test_usage(
    options: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words_for(tmp_path / "out", *options)) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
