"""The commands about jobs of a service, from submit to retry. Parse, call, print."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gpuprep.cli.terminal import ConfigOption, JsonOption, SetOption, command, err, out, print_json
from gpuprep.values.errors import UsageError

if TYPE_CHECKING:  # as everything that costs time, it is imported by the command that needs it
    from gpuprep.client.answers import Job, JobPlan
    from gpuprep.client.client import Client

app = typer.Typer(help="Jobs of a service: submit, follow and end them.", no_args_is_help=True)

JobArgument = Annotated[str, typer.Argument(help="Id of the job, as submit and list print it.")]
UrlOption = Annotated[
    str | None, typer.Option("--url", help="Of the service; by default GPUPREP_URL.")
]
TokenOption = Annotated[
    Path | None, typer.Option(help="File with the token; by default GPUPREP_TOKEN holds it.")
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Follow it to its end, and exit with how it ended.")
]


@command(app)
def submit(
    input: Annotated[
        str, typer.Argument(help="ROOT:PATH, a root of the service and what is in it.")
    ],
    output: Annotated[str, typer.Argument(help="Name of the cohort to make.")],
    root: Annotated[str, typer.Option(help="The root; INPUT is the path below it then.")] = "",
    config: ConfigOption = None,
    profile: Annotated[str, typer.Option(help="A config of the service, by its name.")] = "",
    overrides: SetOption = None,
    executor: Annotated[
        str | None, typer.Option(help="local, serial or a cluster of the service.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes.", min=1)] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Only this case, or a pattern such as 'liver_*'; repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N cases.", min=1)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make every case anew.")] = False,
    priority: Annotated[int, typer.Option(help="Among your own jobs.", min=0, max=9)] = 5,
    webhook: Annotated[str | None, typer.Option(help="URL that is told of the end.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, submit nothing.")
    ] = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the service make a cohort of INPUT; done cases are skipped."""
    from gpuprep.config.file import load_tree
    from gpuprep.preprocess.borrowed import without_files

    if profile and (config or overrides):
        raise UsageError("--profile goes without --config and --set")
    base, path = (root, input) if root else _parted(input)
    asked = (base, path, output, profile or without_files(load_tree(config, overrides or ())))
    options: Any = {
        "executor": executor,
        "workers": workers,
        "only": only or (),
        "limit": limit,
        "overwrite": overwrite,
        "priority": priority,
        "webhook": webhook,
    }
    with _client(url, token_file) as client:
        if dry_run:
            plan = client.submit(*asked, dry_run=True, **options)
            raise typer.Exit(_show_plan(plan, as_json=as_json))
        _show_or_watch(client, client.submit(*asked, **options), watch=watch, as_json=as_json)


@command(app, "list")
def list_jobs(
    state: Annotated[str, typer.Option(help="Only jobs in this state.")] = "",
    owner: Annotated[str, typer.Option(help="Only this user's.")] = "",
    cohort: Annotated[str, typer.Option(help="Only those that make this cohort.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    url: UrlOption = None,
    token_file: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, the newest first."""
    from itertools import islice

    from gpuprep.cli.job_page import job_rows

    with _client(url, token_file) as client:
        wanted = client.jobs(state=state, owner=owner, cohort=cohort, page=min(limit, 500))
        found = [*islice(wanted, limit)]
    if as_json:
        print_json({"schema": 1, "jobs": [_tree(job) for job in found]})
        return
    for line in job_rows(found, time.time()):
        out.print(line)


@command(app)
def show(
    job_id: JobArgument,
    url: UrlOption = None,
    token_file: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a job stands, what failed, and what to do next.

    Exits with 0 while it waits or runs or when all is done, 1 when some cases
    failed, 3 when it did not get through, 130 when it was cancelled.
    """
    from gpuprep.cli.job_page import job_page

    with _client(url, token_file) as client:
        job = client.job(job_id)
        failed = client.failures(job.output) if job.state == "succeeded_with_failures" else ()
    if as_json:
        print_json({**_tree(job), "failures": [asdict(group) for group in failed]})
    else:
        out.print(job_page(job, failed, time.time()))
    raise typer.Exit(job.exit_code)


@command(app)
def watch(
    job_id: JobArgument,
    url: UrlOption = None,
    token_file: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow a job to its end. Ctrl-C leaves the job alone.

    Exits with 0 when all is done, 1 when some cases failed, 3 when it did not
    get through, 130 when it was cancelled.
    """
    with _client(url, token_file) as client:
        _follow(client, job_id, as_json=as_json)


@command(app)
def cancel(
    job_id: JobArgument,
    url: UrlOption = None,
    token_file: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a job; the cases that are stored stay, and resume goes on with the others."""
    with _client(url, token_file) as client:
        _tell(client.cancel(job_id), as_json=as_json)


@command(app)
def resume(
    job_id: JobArgument,
    watch: WatchOption = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a job go on where it stopped; stored cases are not made again."""
    with _client(url, token_file) as client:
        _show_or_watch(client, client.resume(job_id), watch=watch, as_json=as_json)


@command(app)
def retry(
    job_id: JobArgument,
    code: Annotated[
        list[str] | None,
        typer.Option("--code", help="Only failures with this code; repeatable."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it is only told.")] = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do exactly the cases of a job again that failed, as a new job.

    Without --yes it says which, and does nothing.
    """
    with _client(url, token_file) as client:
        if yes:
            again = client.retry(job_id, code or ())
            _show_or_watch(client, again, watch=watch, as_json=as_json)
            return
        plan = client.retry(job_id, code or (), dry_run=True)
    if as_json:
        print_json({"schema": 1, **asdict(plan), "dry_run": True})
        return
    from gpuprep.cli.job_page import failure_lines

    for line in failure_lines(plan.groups):
        out.print(line)
    number = f"{plan.cases} case{'s' * (plan.cases != 1)}"
    out.print(
        f"{number} to do again; nothing was done: add --yes to do it"
        if plan.cases
        else "no case has failed so: nothing to do"
    )


def _parted(text: str) -> tuple[str, str]:
    root, colon, path = text.partition(":")
    if not colon or not root:
        raise UsageError(
            f"{text!r} is not of the form ROOT:PATH",
            advice=f"write data:{text or 'liver'}, with a root of the service, or give --root",
        )
    return root, path


def _client(url: str | None, token_file: Path | None) -> Client:
    from gpuprep.client.client import Client

    token = None
    if token_file is not None:
        try:
            token = token_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token-file {token_file} cannot be read: {error}") from None
    return Client(url, token)


def _tree(job: Job) -> dict[str, Any]:
    return {"schema": 1, **asdict(job), "exit_code": job.exit_code}


def _show_plan(plan: JobPlan, *, as_json: bool) -> int:
    from gpuprep.cli.job_page import plan_lines

    code = 1 if plan.refused else 0
    if as_json:
        print_json({"schema": 1, **asdict(plan), "exit_code": code})
    else:
        for line in plan_lines(plan):
            out.print(line)
    return code


def _tell(job: Job, *, as_json: bool) -> None:
    from gpuprep.cli.job_page import job_line

    if as_json:
        print_json(_tree(job))
    else:
        out.print(job_line(job))


def _show_or_watch(client: Client, job: Job, *, watch: bool, as_json: bool) -> None:
    if not watch:
        _tell(job, as_json=as_json)
        if not as_json:
            out.print(f"to follow it: gpuprep jobs watch {job.id}")
        return
    _follow(client, job.id, as_json=as_json)


def _follow(client: Client, job_id: str, *, as_json: bool) -> None:
    from gpuprep.cli.job_lines import JobLines

    console = err if as_json else out
    try:
        with JobLines(console, client, job_id) as lines:
            for event in client.watch(job_id):
                lines(event)
        job = client.job(job_id)
    except KeyboardInterrupt:
        err.print(f"the job goes on; to end it: gpuprep jobs cancel {escape(job_id)}")
        raise typer.Exit(130) from None
    if as_json:
        print_json(_tree(job))
    elif job.state == "succeeded_with_failures":
        out.print(f"reasons: gpuprep jobs show {job.id}")
        out.print(f"retry just these: gpuprep jobs retry {job.id}")
    raise typer.Exit(job.exit_code)
