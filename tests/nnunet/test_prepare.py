"""A plan of nnU-Net as one config: what of it decides arrays, and what is refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.nnunet_goldens import GOLDENS

from gpuprep.config.model import Config
from gpuprep.nnunet.dataset import Dataset, parse_dataset
from gpuprep.nnunet.plans import Plans, identifiers_of, read_plans
from gpuprep.nnunet.prepare import choose_arrays, config_of, located
from gpuprep.values.errors import ConfigError, UsageError

SETS = GOLDENS["datasets"]
ALL = ("2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres")
STROKE, IGNORE = "Dataset703_StrokeRegions", "Dataset704_LungIgnore"
SAGITTAL, FLAT, CASCADE = "Dataset706_SynthSagittal", "Dataset707_Flat", "Dataset708_SynthCascade"


def dataset_of(name: str) -> Dataset:
    return parse_dataset(json.loads(SETS[name]["dataset"]), name)


def plans_of(name: str, folder: Path, changed: Any = None, plans: str = "nnUNetPlans") -> Plans:
    """The stored plans of a data set; ``changed`` is called with the document before it is read."""
    document = json.loads(SETS[name][plans])
    if changed is not None:
        changed(document)
    (folder / f"{plans}.json").write_text(json.dumps(document))
    return read_plans(folder, plans)


def config_for(name: str, folder: Path, changed: Any = None, plans: str = "nnUNetPlans") -> Config:
    read = plans_of(name, folder, changed, plans)
    return config_of(read, dataset_of(name), choose_arrays(read, ALL).arrays)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("plans", ["nnUNetPlans", "nnUNetResEncUNetLPlans"])
def test_every_configuration_is_an_output_with_the_spacing_of_the_plan(
    name: str, plans: str, tmp_path: Path
) -> None:
    config = config_for(name, tmp_path, plans=plans)
    document = json.loads(SETS[name][plans])
    with_data = {key for key, each in document["configurations"].items() if "spacing" in each}
    assert set(config.outputs) == with_data
    forward = document["transpose_forward"]
    for key in with_data:
        alone, planned = config.output(key), document["configurations"][key]
        zyx = alone.image.resample.spacing[::-1]
        turned = [zyx[axis] for axis in forward]
        assert turned == ["keep"] * (3 - len(planned["spacing"])) + planned["spacing"]
        assert list(alone.store.nnunet.patch) == planned["patch_size"]
        assert list(alone.store.nnunet.forward) == forward
        assert alone.image.resample.separate_z == "auto"
        assert alone.label.outside == -1


def test_the_configuration_to_look_at_comes_first(tmp_path: Path) -> None:
    assert list(config_for(CASCADE, tmp_path).outputs) == ["3d_fullres", "2d", "3d_lowres"]


def test_a_cascade_reads_the_arrays_of_the_full_resolution(tmp_path: Path) -> None:
    plans = plans_of(CASCADE, tmp_path)
    assert choose_arrays(plans, ALL).shared == {"3d_cascade_fullres": "3d_fullres"}
    alone = choose_arrays(plans, ["3d_cascade_fullres"])
    assert [each.name for each in alone.arrays] == ["3d_fullres"]


def test_ct_is_clipped_and_scaled_by_the_numbers_of_its_channel(tmp_path: Path) -> None:
    config = config_for(SAGITTAL, tmp_path).output("3d_fullres")
    numbers = json.loads(SETS[SAGITTAL]["nnUNetPlans"])
    ct = numbers["foreground_intensity_properties_per_channel"]["0"]
    clip, zscore = (entry.step for entry in config.image.channels["CT"].intensity)
    assert (clip.low, clip.high) == (ct["percentile_00_5"], ct["percentile_99_5"])
    assert (zscore.mean, zscore.std) == (ct["mean"], ct["std"])
    assert config.image.channels["noNorm"].intensity == ()


def test_a_flat_foreground_is_one_value(tmp_path: Path) -> None:
    def flatten(document: Any) -> None:
        numbers = document["foreground_intensity_properties_per_channel"]["0"]
        numbers |= {"percentile_00_5": 7.0, "percentile_99_5": 7.0, "mean": 6.0, "std": 0.0}

    config = config_for(SAGITTAL, tmp_path, flatten).output("3d_fullres")
    multiply, offset = (entry.step for entry in config.image.channels["CT"].intensity)
    assert (multiply.by, offset.by) == (0, pytest.approx(1e8))


def test_a_masked_score_is_of_the_foreground_and_leaves_zero_outside(tmp_path: Path) -> None:
    masked = config_for(STROKE, tmp_path).output("2d").image.channels
    assert set(masked) == {"T1", "T2", "FLAIR"}
    for each in masked.values():
        assert each.intensity[0].step.over == "foreground"
        assert each.outside == "zero"
    whole = config_for("Dataset705_BrainThick", tmp_path).output("2d").image.channels["T1"]
    assert (whole.intensity[0].step.over, whole.outside) == ("image", "keep")


def test_rescaling_is_onto_zero_to_one(tmp_path: Path) -> None:
    (step,) = config_for(FLAT, tmp_path).output("2d").image.channels["rescale_to_0_1"].intensity
    assert (step.rescale.to, step.rescale.source) == ((0, 1), None)


def test_normalisation_goes_by_the_place_in_the_file_not_by_its_number(tmp_path: Path) -> None:
    """nnU-Net gives the channel of the file ``_0000`` the scheme of the first entry."""
    turned = {**json.loads(SETS[SAGITTAL]["dataset"]), "channel_names": {"1": "CT", "0": "noNorm"}}
    plans = plans_of(SAGITTAL, tmp_path)
    arrays = choose_arrays(plans, ALL).arrays
    config = config_of(plans, parse_dataset(turned, SAGITTAL), arrays).output("2d")
    assert config.image.channels["CT"].intensity == ()
    assert len(config.image.channels["noNorm"].intensity) == 2


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (SAGITTAL, (1, 2)),
        (STROKE, ((1, 2, 3), (2, 3), 3)),
        (IGNORE, (1, 2, (-1, 0, 1, 2))),
    ],
)
def test_voxels_are_listed_of_what_nnunet_lists(name: str, keys: object) -> None:
    assert located(dataset_of(name)) == keys


def _full(document: Any) -> Any:
    return document["configurations"]["3d_fullres"]


CHANGES = {
    "MyPreprocessor": lambda d: _full(d).update(preprocessor_name="MyPreprocessor"),
    "MyNormalization": lambda d: _full(d).update(normalization_schemes=["MyNormalization"] * 3),
    "resample_torch_fornnunet": lambda d: _full(d).update(
        resampling_fn_data="resample_torch_fornnunet"
    ),
    "order 2": lambda d: _full(d)["resampling_fn_data_kwargs"].update(order=2),
    "order_z 1": lambda d: _full(d)["resampling_fn_seg_kwargs"].update(order_z=1),
    "another force_separate_z": lambda d: _full(d)["resampling_fn_seg_kwargs"].update(
        force_separate_z=True
    ),
    "1 normalisations, and the data set 3 channels": lambda d: _full(d).update(
        normalization_schemes=["ZScoreNormalization"], use_mask_for_norm=[False]
    ),
    "'../other' is no name of a folder": lambda d: _full(d).update(data_identifier="../other"),
    "'gpuprep' is no name of a folder": lambda d: _full(d).update(data_identifier="gpuprep"),
    "'../p' is no name of a file": lambda d: d.update(plans_name="../p"),
    "no numbers for its CTNormalization": lambda d: (
        _full(d).update(normalization_schemes=["CTNormalization"] * 3),
        d["foreground_intensity_properties_per_channel"].clear(),
    ),
    "'patch_size'": lambda d: _full(d).pop("patch_size"),
}


@pytest.mark.parametrize("told", CHANGES)
def test_what_is_not_known_is_refused_by_its_name(told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nnUNetPlans\.json") as refused:
        config_for(STROKE, tmp_path, CHANGES[told])
    assert told in str(refused.value)
    assert refused.value.advice


def _own(document: Any, **fields: Any) -> None:
    document["configurations"]["own"] = {"inherits_from": "3d_fullres", **fields}


def test_an_inherited_configuration_has_the_arrays_of_its_parent(tmp_path: Path) -> None:
    plans = plans_of(STROKE, tmp_path, lambda d: _own(d, batch_size=4))
    chosen = choose_arrays(plans, ["own", "3d_fullres"])
    assert [each.name for each in chosen.arrays] == ["3d_fullres"]
    assert chosen.shared == {"own": "3d_fullres"}


def test_an_own_folder_makes_own_arrays(tmp_path: Path) -> None:
    config = config_for(
        STROKE, tmp_path, lambda d: _own(d, data_identifier="own", spacing=[2, 2, 2])
    )
    assert "own" not in config.outputs  # not asked for
    plans = read_plans(tmp_path, "nnUNetPlans")
    (arrays,) = choose_arrays(plans, ["own"]).arrays
    assert (arrays.identifier, arrays.spacing, arrays.patch) == ("own", (2, 2, 2), (128, 160, 112))
    assert identifiers_of(tmp_path) == {"own", "nnUNetPlans_2d", "nnUNetPlans_3d_fullres"}


def test_two_makes_in_one_folder_are_refused(tmp_path: Path) -> None:
    plans = plans_of(
        STROKE,
        tmp_path,
        lambda d: d["configurations"]["2d"].update(data_identifier="nnUNetPlans_3d_fullres"),
    )
    with pytest.raises(ConfigError, match="2d and 3d_fullres both keep their arrays"):
        choose_arrays(plans, ALL)


def test_parents_that_are_not_there_or_go_in_a_circle_are_named(tmp_path: Path) -> None:
    plans = plans_of(STROKE, tmp_path, lambda d: _own(d, inherits_from="gone"))
    with pytest.raises(ConfigError, match="own inherits from gone"):
        plans.resolved("own")
    plans = plans_of(STROKE, tmp_path, lambda d: _own(d, inherits_from="own"))
    with pytest.raises(ConfigError, match="own inherits from own"):
        plans.resolved("own")


def test_plans_that_are_not_there_name_those_that_are(tmp_path: Path) -> None:
    plans_of(STROKE, tmp_path)
    with pytest.raises(UsageError, match="has no plans Mine") as refused:
        read_plans(tmp_path, "Mine")
    assert refused.value.advice == "there are nnUNetPlans"
    with pytest.raises(ConfigError, match="none of the configurations 3d_lowres"):
        choose_arrays(read_plans(tmp_path, "nnUNetPlans"), ["3d_lowres"])


def test_colours_are_divided_by_255_and_other_values_are_refused(tmp_path: Path) -> None:
    def colour(document: Any) -> None:
        schemes = document["configurations"]["3d_fullres"]["normalization_schemes"]
        schemes[1] = "RGBTo01Normalization"

    read = plans_of(STROKE, tmp_path, colour)
    arrays = choose_arrays(read, ["3d_fullres"]).arrays
    rule = config_of(read, dataset_of(STROKE), arrays).output("3d_fullres").image.channels["T2"]
    (step,) = rule.intensity
    assert (step.rescale.source, step.rescale.to, rule.within) == ((0, 255), (0, 1), (0, 255))


@pytest.mark.parametrize(
    ("more", "reader", "orientation"),
    [
        ({}, "SimpleITKIO", "keep"),
        ({"file_ending": ".nii"}, "NibabelIO", "keep"),
        (
            {"overwrite_image_reader_writer": "SimpleITKIOWithReorient"},
            "SimpleITKIOWithReorient",
            "RAS",
        ),
    ],
)
def test_files_are_read_and_described_as_by_the_data_sets_reader(
    tmp_path: Path, more: dict[str, str], reader: str, orientation: str
) -> None:
    dataset = parse_dataset({**json.loads(SETS[STROKE]["dataset"]), **more}, STROKE)
    plans = plans_of(STROKE, tmp_path)
    config = config_of(plans, dataset, choose_arrays(plans, ["3d_fullres"]).arrays)
    assert config.image.orientation == orientation
    assert config.output("3d_fullres").store.nnunet.reader == reader
