"""What schemathesis is told beside the API's description: requests that a service can do something with."""

import random

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """Most jobs that are right by the description get a root, an input and a cohort that there are; most
    chunks are those of such cohorts.
    """
    if case.operation.path.endswith("{path}") and case.method == "GET" and case.path_parameters:
        dice = random.Random(repr(case.path_parameters))
        if dice.random() < 0.7:
            case.path_parameters |= {"cohort": f"c-{dice.randrange(3)}", "path": "zarr.json"}
    is_right = case.meta is None or case.meta.generation.mode.is_positive
    if case.operation.label != "POST /v1/jobs" or not is_right or not isinstance(case.body, dict):
        return
    dice = random.Random(repr(case.body))
    if dice.random() < 0.1:
        return
    case.body |= {"root": "data", "path": "", "output": f"c-{dice.randrange(3)}"}
    case.body |= {"config": dice.choice([{}, "thin"]), "executor": "serial"}
    for name in ("only", "webhook", "limit"):
        case.body.pop(name, None)
