"""Configs: strictness, nearest-key hints, overrides, digest, round trips."""

import re
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


@pytest.mark.parametrize("name", ["n4", "curvature_diffusion"])
def test_how_long_a_filter_may_take_is_not_in_the_digest(name: str) -> None:
    filters = [{name: {"iterations": [7] if name == "n4" else 7, **more}} for more in LIMITS]
    whole, slow = (parse_config({"image": {"filters": [each]}}).digest for each in filters)
    parts = [parse_config({"image": {"channels": {"a": {"filters": [each]}}}}) for each in filters]
    assert whole == slow
    assert parts[0].digest == parts[1].digest
    assert parse_config({"image": {"filters": [{name: {}}]}}).digest != whole


LIMITS = {}, {"seconds": 5}


def test_what_steps_read_lies_beside_the_config_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "mr.yaml"
    file.write_text(
        "image:\n  intensity: [{nyul: {landmarks: first}}]\n"
        "  channels: {b: {intensity: [{histogram_match: {reference: /r.nii}}]}}\n"
        "outputs: {a: {intensity: [{histogram_match: {reference: ../r.nii}}]}}\n"
    )
    config = load_config(file, ["outputs.b.intensity=[{nyul: {landmarks: here}}]"])
    first = config.image.intensity[0].step.landmarks
    second = config.image.channels["b"].intensity[0].step.reference
    third, fourth = (config.outputs[name].intensity[0].step for name in "ab")
    assert (first, second) == (str(tmp_path / "first"), "/r.nii")
    assert (third.reference, fourth.landmarks) == (
        str(tmp_path / "../r.nii"),
        str(Path("here").absolute()),
    )


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


OUTPUTS: dict[str, object] = {
    "image": {"intensity": [{"rescale": {"from": [0, 1]}}], "resample": {"spacing": [1, 1, 2]}},
    "store": {"dtype": "float32", "fsync": "never"},
    "outputs": {
        "b": {"intensity": [{"zscore": {}}], "store": {"chunk": 48}},
        "a": {"resample": {"spacing": [2, 2, 2]}, "store": {"keep_bits": 12}},
    },
}


def test_an_output_by_itself_has_what_it_does_not_name_from_above() -> None:
    config = parse_config(OUTPUTS)
    changed = {
        "a": {**OUTPUTS, "image": {**OUTPUTS["image"], "resample": {"spacing": [2, 2, 2]}}},
        "b": {**OUTPUTS, "image": {**OUTPUTS["image"], "intensity": [{"zscore": {}}]}},
    }
    changed["a"]["store"] = {"dtype": "float32", "fsync": "never", "keep_bits": 12}
    changed["b"]["store"] = {"dtype": "float32", "fsync": "never", "chunk": 48}
    for name, tree in changed.items():
        assert config.output(name) == parse_config({**tree, "outputs": {}})
    assert parse_config({}).parts() == {"": parse_config({})}
    again = parse_config(config.resolved())
    assert (list(again.parts()), again.parts()) == (["b", "a"], config.parts())


def test_the_order_of_outputs_counts_and_where_a_reference_lies_does_not(tmp_path: Path) -> None:
    turned = {**OUTPUTS, "outputs": dict(reversed(OUTPUTS["outputs"].items()))}
    assert parse_config(turned).digest != parse_config(OUTPUTS).digest
    grid = {"shape": [2, 2, 2], "spacing": [1, 1, 1], "origin": [0, 0, 0]}
    grid["direction"] = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    digests, paths = set(), set()
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
        reference = {"path": "ref.mha", "grid": grid}
        tree = {"outputs": {"a": {"resample": {"reference": reference}}}}
        (tmp_path / place / "config.yaml").write_text(yaml.safe_dump(tree))
        config = load_config(tmp_path / place / "config.yaml")
        digests.add(config.digest)
        paths.add(config.outputs["a"].resample.reference.path)
    assert len(digests) == 1
    assert paths == {str(tmp_path / place / "ref.mha") for place in ("x", "y")}


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"outputs": {"labels": {}}}, "what arrays of a case are called"),
        ({"outputs": {"0": {}}}, "what arrays of a case are called"),
        ({"outputs": {"a": {}, "A": {}}}, "'a' and 'A' are one folder on some disks"),
        ({"outputs": {"a/b": {}}}, "string should match pattern"),
        ({"outputs": {"a": {"store": {"fsync": "never"}}}}, "outputs.a.store.fsync: unknown key"),
        ({"outputs": {"a": {"resampel": {}}}}, "did you mean 'resample'?"),
        (
            {"outputs": {"a": {"store": {"keep_bits": 12}}}},
            "output a: keep_bits: 12 rounds nothing",
        ),
        ({"outputs": {"a": {}}, "fingerprint": {}}, "fingerprint stores no arrays"),
    ],
    ids=str,
)
def test_outputs_that_make_no_sense_are_refused(tree: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        parse_config(tree)


@pytest.mark.parametrize(
    ("outputs", "needed"),
    [
        ({"a": {}}, True),
        ({"a": {"intensity": []}}, False),
        ({"a": {"intensity": []}, "b": {}}, True),
        ({"a": {"intensity": [], "channels": {"CT": {"intensity": [{"zscore": {"over": "cohort"}}]}}}}, True),
        ({"a": {"intensity": [{"zscore": {"over": "cohort", "mean": 1, "std": 2}}]}}, False),
    ],
    ids=str,
)  # fmt: skip
def test_a_cohort_is_measured_where_an_output_or_a_channel_asks(
    outputs: dict[str, object], needed: bool
) -> None:
    image = {"intensity": [{"zscore": {"over": "cohort"}}]}
    assert parse_config({"image": image, "outputs": outputs}).needs_cohort == needed
    assert parse_config({"image": image}).needs_cohort


def test_an_override_may_be_a_pattern_for_names() -> None:
    config = load_config(None, ["input.label_series=*mask*"])
    assert config.input.label_series == "*mask*"
