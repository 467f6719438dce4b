"""Which keys of a config a client may set: what is listed, and nothing that leads anywhere else."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from gpuprep.config.file import _model_in
from gpuprep.config.model import Config
from gpuprep.service.jobs.allowed import check_allowed, shown
from gpuprep.service.problems import Problem

OPERATORS = {
    *("input.follow_symlinks", "input.roots", "input.limits", "store.fsync", "run.sealed_list"),
    *("cuda", "cluster", "image.resample.reference"),
    *("image.intensity.nyul.landmarks", "image.intensity.histogram_match.reference"),
    *("run.backoff", "run.crashes", "run.storm", "run.drain", "run.deadline", "run.stuck"),
    *("run.silence", "run.scratch", "outputs", "fingerprint", "store.nnunet"),
}
"""Every place of a config that a client may not set."""


def places(model: type[BaseModel] = Config, above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        place = f"{above}{field.alias or name}"
        yield place
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from places(inner, f"{place}.")


def nested(place: str, value: object) -> dict:
    head, _, rest = place.partition(".")
    return {head: nested(rest, value) if rest else value}


def is_refused(tree: dict) -> bool:
    try:
        check_allowed(tree)
    except Problem as problem:
        return (problem.status, problem.code) == (422, "E_NOT_ALLOWED")
    return False


def test_each_key_there_is_was_thought_about() -> None:
    """A key of tomorrow is refused until it is listed here or there."""
    refused = {place for place in places() if is_refused(nested(place, 1))}
    within = {
        place for place in places() if any(f"{place}.".startswith(f"{each}.") for each in OPERATORS)
    }
    around = {each.partition(".")[0] for each in OPERATORS if "." in each}  # a block is no value
    assert refused - around == within
    assert set(places()) >= OPERATORS


@pytest.mark.parametrize("place", sorted(OPERATORS))
@pytest.mark.parametrize("value", [None, {}, [], "", {"x": 1}], ids=repr)
def test_no_empty_form_of_it_is_let_through(place: str, value: object) -> None:
    assert is_refused(nested(place, value))


@pytest.mark.parametrize(
    "tree",
    [
        {"cluster": {"kind": "existing", "address": "tcp://evil.example:8786"}},
        {"cluster": {"tls": {"ca": "/etc/passwd", "cert": "x", "key": "y"}}},
        {"input": {"roots": ["/"]}},
        {"input": {"layout": "msd", "roots": ["/"]}},
        {"image": {"resample": {"reference": "/etc/passwd"}}},
        {"image": {"intensity": [{"clip": {}}, {"nyul": {"landmarks": "/etc/passwd"}}]}},
        {"image": {"channels": {"MR": {"intensity": [{"nyul": {"landmarks": ""}}]}}}},
        {"image": {"intensity": [{"histogram_match": {"reference": "/etc/passwd"}}]}},
        {"image": {"resample": {"reference": {"path": "/etc/passwd"}}}},
        {"image": {"resample": {"reference": {"grid": {}}}}},
        {"image": {"resample.reference": "/etc/passwd"}},
        {"image.resample.reference": "/etc/passwd"},
        {"outputs": {"a": {"intensity": []}}},
        {"input.roots": ["/"]},
        {"": {"cluster": {"kind": "local"}}},
        {"unheard": 1},
        {"Cluster": {}},
        {"run": {"tries": 3, "deadline": 1e9}},
    ],
    ids=repr,
)
def test_ways_around_it(tree: dict) -> None:
    assert is_refused(tree)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"version": 1},
        {"input": {}},
        {"run": {}},
        {"image": {}, "label": {}, "store": {}},
        {"image": {"intensity": [{"clip": {"low": 0, "high": 1}}]}},
        {"input": {"policy": {"W_ROUNDED": "warn"}, "channels": ["ct"]}},
        {"store": {"dtype": "int16", "pyramid": 2}},
        {"run": {"tries": 3}},
    ],
    ids=repr,
)
def test_what_a_client_is_to_decide(tree: dict) -> None:
    assert not is_refused(tree)


def test_of_an_operator_s_config_clients_see_what_they_could_set() -> None:
    tree = {
        "image": {"orientation": "RAS", "resample": {"spacing": [1, 1, 1], "reference": "/srv/x"}},
        "cluster": {"kind": "existing", "address": "tls://inside:1"},
        "input": {"roots": ["/srv/other"], "layout": "msd"},
        "run": {"tries": 2, "drain": 1},
    }
    assert shown(tree) == {
        "image": {"orientation": "RAS", "resample": {"spacing": [1, 1, 1]}},
        "input": {"layout": "msd"},
        "run": {"tries": 2},
    }
    assert shown({}) == {}
    match = {"over": "image", "reference": "/srv/x"}
    steps = [{"clip": {"low": 0, "high": 1}}, {"histogram_match": match}]
    kept = [steps[0], {"histogram_match": {"over": "image"}}]
    assert shown({"image": {"intensity": steps}}) == {"image": {"intensity": kept}}


def test_outputs_that_an_operator_allows_lead_to_no_file() -> None:
    allowed = ("outputs",)
    check_allowed({"outputs": {"a": {"resample": {"spacing": [1, 1, 1]}}}}, allowed)
    for reference in ("/etc/passwd", {"path": "/etc/passwd"}, {}):
        tree = {"outputs": {"a": {"resample": {"reference": reference}}}}
        with pytest.raises(Problem, match=r"outputs\.a\.resample\.reference"):
            check_allowed(tree, allowed)
    assert shown({"outputs": {"a": {"resample": {"reference": "/srv/x"}}}}, allowed) == {}
