"""The machine over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from gpuprep.service.door.access import Reader, bearer
from gpuprep.service.machine.bodies import MachineView
from gpuprep.service.machine.watch import Machine
from gpuprep.service.problems import told

router = APIRouter(prefix="/v1", tags=["health"], dependencies=[bearer])

Since = Annotated[
    float,
    Query(ge=0, le=1e12, allow_inf_nan=False, description="Of history only what came behind."),
]


@router.get("/machine", response_model=MachineView, responses=told(401, 422))
async def machine(request: Request, who: Reader, since: Since = 0.0) -> MachineView:
    """What the machine does: cores, memory, disk, GPUs, workers and stages, now and in the last hour."""
    found: Machine = request.app.state.machine
    return found.told(who, since)
