"""Configs: strictness, nearest-key hints, overrides, digest, round trips."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.config.file import load_config, parse_config
from gpuprep.config.model import Config
from gpuprep.values.errors import ConfigError

FILES = Path(__file__).parents[2].joinpath("configs")
CONFIGS = sorted(set(FILES.glob("*.yaml")) - set(FILES.glob("cluster_*.yaml")))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_valid_and_distinct(path: Path) -> None:
    others = {load_config(other).digest for other in CONFIGS if other != path}
    assert load_config(path).digest not in others


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("image: {resample: {spacng: [1, 1, 1]}}", "did you mean 'spacing'"),
        ("imge: {}", "did you mean 'image'"),
        ("image: {intensity: [{clp: {low: 0, high: 1}}]}", "did you mean 'clip'"),
        ("image: {intensity: [{clip: {lo: 0, high: 1}}]}", "did you mean 'low'"),
        ("image: {intensity: [{rescale: {form: [0, 1]}}]}", "did you mean 'from'"),
        ("store: {zzz: 1}", "known keys: dtype, chunk"),
    ],
)
def test_unknown_key_names_the_nearest(tmp_path: Path, text: str, hint: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="unknown key") as caught:
        load_config(file)
    assert hint in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image: {intensity: [{clip: {low: 5, high: 5}}]}", "must be below high"),
        ("image: {resample: {spacing: [1, 1, 0]}}", "greater than 0"),
        ("image: {resample: {spacing: [1, 1, 1], shape: [8, 8, 8]}}", "one of spacing"),
        ("image: {orientation: LRS}", "three letters"),
        ("image: {intensity: [{clip: {low: .nan, high: 1}}]}", "finite"),
        ("image: {intensity: [{zscore: {mean: 1}}]}", "both mean and std"),
        ("image: {intensity: [{}]}", "exactly one"),
        ("image: {intensity: [{multiply: {by: 2}, offset: {by: 1}}]}", "exactly one"),
        ("input: {policy: {E_NOPE: warn}}", "no finding code"),
        ("store: {dtype: float64}", "float16"),
        ("version: 2", "version"),
        ("- a list", "mapping"),
        ("image: {", "not valid YAML"),
        ("store: {chunk: 32}\nstore: {chunk: 64}", "given twice"),
    ],
)
def test_wrong_values_say_why(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        load_config(file)


def test_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "none.yaml")


def test_overrides_reach_nested_keys_and_list_items(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("image: {intensity: [{clip: {low: -10, high: 1e2}}]}")
    config = load_config(
        file, ["image.intensity.0.clip.low=-900", "image.resample.spacing=[1, 2, 3]"]
    )
    step = config.image.intensity[0].clip
    assert step is not None
    assert (step.low, step.high) == (-900.0, 100.0)
    assert config.image.resample.spacing == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("override", ["nonsense", "=1", "image.intensity.x=1", "store.dtype=int8"])
def test_bad_overrides_are_config_errors(override: str) -> None:
    with pytest.raises(ConfigError):
        load_config(None, ["image.intensity=[]", override])


def test_digest_ignores_what_does_not_change_bytes() -> None:
    plain = Config()
    same = load_config(None, ["input.limits.seconds=5", "store.fsync=never", "input.layout=msd"])
    told = load_config(None, ["report.html=true", "report.csv=numbers.csv"])
    assert told.digest == plain.digest
    other = load_config(None, ["store.chunk=64"])
    assert same.digest == plain.digest
    assert other.digest != plain.digest


numbers = st.floats(-1e4, 1e4, allow_nan=False)
steps = st.one_of(
    st.tuples(numbers, numbers)
    .filter(lambda pair: pair[0] < pair[1])
    .map(lambda pair: {"clip": {"low": pair[0], "high": pair[1]}}),
    st.tuples(numbers, st.floats(1e-3, 1e4)).map(
        lambda pair: {"window": {"level": pair[0], "width": pair[1]}}
    ),
    st.tuples(numbers, numbers)
    .filter(lambda pair: pair[0] != pair[1])
    .map(lambda pair: {"rescale": {"to": list(pair), "from": [0.0, 1.0]}}),
    st.sampled_from(["image", "foreground", "cohort"]).map(lambda over: {"zscore": {"over": over}}),
    numbers.map(lambda by: {"multiply": {"by": by}}),
)
trees = st.fixed_dictionaries(
    {},
    optional={
        "image": st.fixed_dictionaries(
            {},
            optional={
                "orientation": st.sampled_from(["LPS", "RAS", "keep", "SAR"]),
                "intensity": st.lists(steps, max_size=4),
                "resample": st.fixed_dictionaries(
                    {"spacing": st.lists(st.floats(0.01, 50), min_size=3, max_size=3)}
                ),
            },
        ),
        "store": st.fixed_dictionaries({"dtype": st.sampled_from(["float16", "int16"])}),
    },
)


@given(trees)
def test_resolved_yaml_round_trip_keeps_the_digest(tree: dict[str, object]) -> None:
    config = parse_config(tree)
    again = parse_config(yaml.safe_load(yaml.safe_dump(config.resolved())))
    assert again == config
    assert again.digest == config.digest


def test_schema_covers_every_section() -> None:
    schema = Config.model_json_schema(by_alias=True)
    assert set(schema["properties"]) == {
        "version",
        "input",
        "image",
        "label",
        "store",
        "outputs",
        "fingerprint",
        "cuda",
        "run",
        "report",
        "cluster",
    }
    assert schema["additionalProperties"] is False
