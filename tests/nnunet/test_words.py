"""Options as nnU-Net's commands take them."""

import pytest

from gpuprep.cli.nnunet_words import repeated


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("plan -d 3 4 --json", "plan -d 3 -d 4 --json"),
        (
            "preprocess -c 2d 3d_fullres -np 8 4 -d 3",
            "preprocess -c 2d -c 3d_fullres -np 8 -np 4 -d 3",
        ),
        ("plan -d 3 -d 4 -pl A", "plan -d 3 -d 4 -pl A"),
        ("next-stage -d 3 logits", "next-stage -d 3 logits"),
        ("predict-input -c 2d in out -p x", "predict-input -c 2d in out -p x"),
        ("plan -overwrite_target_spacing 1 2 3 -d 3", "plan -overwrite_target_spacing 1 2 3 -d 3"),
    ],
)
def test_several_values_behind_one_flag(written: str, taken: str) -> None:
    assert " ".join(repeated(written.split())) == taken
