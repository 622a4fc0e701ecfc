"""Options derived from configurations: all of them, everywhere, once."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections import Counter
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from hierprob3d.configs.evaluation import EvaluateConfig
from hierprob3d.configs.option_fields import OptionField, option_fields
from hierprob3d.configs.prediction import PredictConfig
from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.configs.run_results import ExportConfig
from hierprob3d.configs.training_commands import TrainCommandConfig
from hierprob3d.pipelines.command import cli
from hierprob3d.pipelines.command.beam_options import beam_actions
from hierprob3d.pipelines.command.usage import UsageError, known_name

COMMANDS = {name: cli._parser(name)[2] for name in cli.COMMANDS}
"""Configurations of each command; a second one is read instead of the first."""

FIELDS = [
    pytest.param(name, cls, field, id=f"{name}-{field.name}")
    for name, classes in COMMANDS.items()
    for cls in classes
    for field in option_fields(cls)
]
OPTION_FILE_FIELDS = [
    case for case in FIELDS
    if all(field.name != "config" for field in option_fields(case.values[1]))
    and case.values[2].num_values is None
]  # fmt: skip
WORDS = {
    "--device": "cuda:3", "--fps": "2.5", "--metrics": "PVE,MPJPE", "--size": "200",
    "--max-failed-ratio": "0.25", "--keypoint-threshold": "0.5", "--detector-threshold": "0.5",
    "--best-of": "5,1", "--known-height": "1.8",
}  # fmt: skip
"""A value of each option that not every text or number serves."""


@pytest.fixture(autouse=True)
def every_renderer_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pytorch3d")
    module.__spec__ = ModuleSpec("pytorch3d", None)
    monkeypatch.setitem(sys.modules, "pytorch3d", module)


def parsed(name: str, *words: str) -> Any:
    """The configuration of a command line."""
    return cli.parse_command(name, list(words))[1]


def written(field: OptionField) -> list[str]:
    """The field on the command line, with a value that is not its default."""
    name = [] if field.option.positional else [field.option_name]
    if field.is_switch:
        return name
    if field.num_values is not None:
        return [*name, *"abc"[: field.num_values]]
    if field.option_name in WORDS:
        return [*name, WORDS[field.option_name]]
    others = [word for word in reversed(field.option.choices) if word != field.default]
    return [*name, others[0] if others else "other" if field.kind is str else "7"]


def needed(cls: type, field: OptionField) -> list[str]:
    """All else that must be given with the field."""
    others = [other for other in option_fields(cls) if other.is_required and other != field]
    words = [word for other in others for word in written(other)]
    words += [f"--{field.option.needs}"] if field.option.needs else []
    if field.name == "images":  # of one dataset only
        return ["npz" if word == "synthetic" else word for word in words] + ["--keypoints", "file"]
    return [*words, "--keypoint-weights", "w"] if "hrnet" in written(field) else words


def value_of(config: Any, name: str) -> Any:
    """The value of a field, at any depth."""
    inner = [value for value in vars(config).values() if dataclasses.is_dataclass(value)]
    return next(vars(place)[name] for place in [config, *inner] if name in vars(place))


@pytest.mark.parametrize(("name", "cls", "field"), FIELDS)
def test_every_field_is_an_option(name: str, cls: type, field: OptionField) -> None:
    value = value_of(parsed(name, *needed(cls, field), *written(field)), field.name)
    assert value != field.default
    if field.num_values is not None:
        assert value == ((("a", "b"),) if field.is_list else ("a", "b"))
    elif not field.is_list and not field.is_switch:
        assert value == field.kind(written(field)[-1]) and type(value) is field.kind


@pytest.mark.parametrize(("name", "cls", "field"), OPTION_FILE_FIELDS)
def test_every_field_is_a_key_of_yaml(
    name: str, cls: type, field: OptionField, tmp_path: Path
) -> None:
    key = field.name if field.option.positional else field.option_name.removeprefix("--")
    value = True if field.is_switch else yaml.safe_load(written(field)[-1])
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({key: value}))
    words = needed(cls, field)
    by_file = parsed(name, *words, "--config", str(tmp_path / "run.yaml"))
    assert by_file == parsed(name, *words, *written(field))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_option_once(name: str) -> None:
    _, parser, classes = cli._parser(name)
    entries = re.findall(r"^  (?=\S)(.+?)(?:  |$)", parser.format_help(), re.M)
    named = [word.rstrip(",") for entry in entries for word in entry.split() if word[0] == "-"]
    shown = Counter([*named, *(entry for entry in entries if entry[0] != "-")])
    for field in (field for cls in classes for field in option_fields(cls)):
        spellings = [field.option_name, *field.option.also]
        spellings += [name for shortcut in field.option.shortcuts for name in shortcut.names]
        assert all(shown[spelling] == 1 for spelling in spellings)
        assert field.help and not field.help.endswith(".") or field.help.endswith("...")


@pytest.mark.parametrize("name", COMMANDS)
def test_names_mean_one_thing_each(name: str) -> None:
    fields = [field for cls in COMMANDS[name] for field in option_fields(cls)]
    names = Counter(field.name for field in fields)
    spellings = Counter(
        spelling.replace("_", "-")
        for field in fields
        for spelling in (
            field.option_name, *field.option.also,
            *(name for shortcut in field.option.shortcuts for name in shortcut.names),
        )
    )  # fmt: skip
    assert max(names.values()) == max(spellings.values()) == 1


def test_predict_s_headings_follow_its_configuration() -> None:
    _, parser, _ = cli._parser("predict")
    headings = re.findall(r"^(\w+):$", parser.format_help(), re.M)
    assert headings[-5:] == ["inputs", "models", "uncertainty", "refinement", "run"]


PAPER = {
    "--image_dir D": {"inputs": ("D", "a.png")},
    "-I D": {"inputs": ("D", "a.png")},
    "-C": {"detector": "none"},
    "--cropped_images": {"detector": "none"},
    "-W3D w.tar": {"weights": "w.tar"},
    "--pose_shape_weights=w.tar": {"weights": "w.tar"},
    "-W2D h.pth": {"keypoints": "hrnet", "keypoint_weights": "h.pth"},
    "--pose2D_hrnet_weights h.pth": {"keypoints": "hrnet", "keypoint_weights": "h.pth"},
    "--keypoints hrnet -W2D h.pth": {"keypoints": "hrnet", "keypoint_weights": "h.pth"},
    "-W2D h.pth --keypoints hrnet": {"keypoints": "hrnet", "keypoint_weights": "h.pth"},
    "-G male": {"gender": "male"},
    "-T 0.5": {"keypoint_threshold": 0.5},
    "--joints2Dvisib_threshold 0.5": {"keypoint_threshold": 0.5},
    "--gpu 2": {"device": "cuda:2"},
    "-N 3": {"num_samples": 3},
    "--num_samples 3": {"num_samples": 3},
    "-VS -VU --visualise crops": {"visualise": frozenset({"samples", "uncropped", "crops"})},
    "--visualise_samples": {"visualise": frozenset({"samples"})},
}


@pytest.mark.parametrize("words", PAPER)
def test_the_paper_s_spellings(words: str) -> None:
    config = parsed("predict", "a.png", "--output", "o", *words.split())
    for name, value in PAPER[words].items():
        assert value_of(config, name) == value


def test_the_paper_s_commands_as_its_readme_writes_them() -> None:
    words = "--image_dir in --save_dir out -C -W3D net.tar -W2D hrnet.pth -G female --gpu 1"
    config = parsed("predict", *words.split())
    assert (config.source.inputs, config.run.output) == (("in",), "out")
    assert (config.models.gender, config.models.device) == ("female", "cuda:1")
    evaluation = parsed(
        "evaluate", *"-D ssp3d -W3D net.tar -N 5 --gpu 0 --data d --output o".split()
    )
    assert isinstance(evaluation, EvaluateConfig)
    assert (evaluation.dataset, evaluation.num_samples) == ("ssp3d", 5)
    assert (evaluation.weights, evaluation.device) == ("net.tar", "cuda:0")
    crops = parsed("preprocess-3dpw", *"--dataset_path d --out_path o --body-model m".split())
    assert crops == PreprocessConfig(data="d", output="o", body_model="m")
    training = parsed("train", *"-E run -O TRAIN.NUM_EPOCHS 120 TRAIN.LR 2e-4 --gpu 1".split())
    assert isinstance(training, TrainCommandConfig) and training.experiment == "run"
    assert training.paper_settings == (("TRAIN.NUM_EPOCHS", "120"), ("TRAIN.LR", "2e-4"))
    assert training.all_settings == ("device=cuda:1",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--gender male -G male", "--gender and -G exclude each other"),
        ("--gpu 1 --device cuda:1", "--gpu and --device exclude each other"),
        ("-C --detector none", "-C and --detector exclude each other"),
        ("--keypoints movenet -W2D h.pth", "--keypoints and -W2D exclude each other"),
        ("-W2D h.pth --keypoints movenet", "-W2D and --keypoints exclude each other"),
        ("--save_dir p", "--output and --save_dir exclude each other"),
        ("--gpu x", "argument --gpu: invalid int value: 'x'"),
        ("--gpu -1", "--device must be auto, cpu, cuda or cuda:N, got 'cuda:-1'"),
        ("-G", "argument --gender: expected one argument"),
        ("--refine=no", "argument --refine: takes no value, got 'no'"),
        ("--fps nan", "--fps must be a number above 0, got nan"),
        ("--keypoint-error 2", "--keypoint-error needs --refine."),
        ("--save samples,vertice", "got 'vertice'. Did you mean vertices?"),
        ("--detector none --detector-threshold 0.5", "exclude each other"),
    ],
)
def test_what_goes_together_badly(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parsed("predict", "a.png", "--output", "o", *words.split())


def test_an_option_written_twice_alike_counts_the_last_time() -> None:
    words = "a.png --output o --seed 1 --seed 2 --save samples --save vertices".split()
    config = parsed("predict", *words)
    assert config.sampling.seed == 2
    assert config.sampling.save == {"samples", "vertices"}  # items of a list add up


def test_dashes_and_underscores_are_alike_also_in_beam_s_options() -> None:
    _, parser, _ = cli._parser("predict")
    own = {name for action in parser._actions for name in action.option_strings}
    config = parsed("predict", "a.png", "--output=o", "--dry_run", "--keypoint_threshold=0.5",
                    "--direct-num-workers", "2")  # fmt: skip
    assert config.run.dry_run and config.models.keypoint_threshold == 0.5
    beam = beam_actions()
    assert known_name("--direct-num-workers=2", beam) == "--direct_num_workers"
    # `--dry_run` is the one name that both have: ours is meant.
    ours = {name.replace("_", "-") for name in own}
    assert {name for name in beam if name.replace("_", "-") in ours} == {"--dry_run"}


def test_what_must_be_given_is_named_together() -> None:
    with pytest.raises(UsageError, match=r"^--output DIR is missing\.$"):
        parsed("predict")
    with pytest.raises(
        UsageError, match=r"^--dataset 3dpw\|ssp3d\|npz\|synthetic, --data DIR\|FILE, --out"
    ):
        parsed("evaluate")
    with pytest.raises(UsageError, match=r"^DIR is missing\.$"):
        parsed("inspect")


def test_a_comparison_goes_without_other_options() -> None:
    assert parsed("evaluate", "--compare", "a", "b").compare == ("a", "b")
    with pytest.raises(UsageError, match="^--compare goes without other options"):
        parsed("evaluate", "--seed", "3", "--compare", "a", "b")


def test_lists_in_yaml(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("inputs: [a.png, b.png]\nsave: [samples, vertices]\nno-uncertainty: false\n")
    config = parsed("predict", "--output", "o", "--config", str(file))
    assert config.source.inputs == ("a.png", "b.png")
    assert config.sampling.save == {"samples", "vertices"} and config.sampling.uncertainty
    file.write_text("filter: [uri=*.png, person_index=0]\n")
    words = ("export", "run", "--format", "obj", "--output", "o")
    assert parsed(*words, "--config", str(file)).filter == ("uri=*.png", "person_index=0")
    with pytest.raises(UsageError, match="unknown option config"):
        file.write_text("config: other.yaml\n")
        parsed("predict", "a.png", "--output", "o", "--config", str(file))


def test_patterns_with_commas_stay_whole() -> None:
    words = ["run", "--format=obj", "--output=o", "--filter", "uri=a,b", "--filter", "uri=c"]
    assert parsed("export", *words).filter == ("uri=a,b", "uri=c")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-O TRAIN.LR", "expected KEY VAL, got 'TRAIN.LR'"),
        ("device=cpu --gpu 1", "--device and device=... exclude each other"),
        ("max_minutes=3 --max-minutes 1", "--max-minutes and max_minutes=... exclude each other"),
    ],
)
def test_training_s_options_and_settings(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parsed("train", "-E", "run", *words.split())


def test_configurations_of_the_library_are_those_of_the_command_line() -> None:
    assert isinstance(parsed("predict", "a.png", "--output", "o"), PredictConfig)
    with pytest.raises(ValueError, match="--format must be one of obj, .* got 'stl'"):
        ExportConfig(folder="f", format="stl", output="o")
