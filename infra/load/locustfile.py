"""Load test of a deployment, for locust: ``make load URL=...``; README.md describes the options."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from locust import FastHttpUser, LoadTestShape, events, task
from locust.env import Environment

from infra.load.access import authoriser
from infra.load.mix import Mix, Request, outcome, parse_stages, users_at

SPAWN_RATE = 100  # users per second, so that each stage begins with all of its users


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    access = "what the deployment requires: nothing, the token in LOAD_TOKEN, or signatures (NONE)"
    parser.add_argument("--access", choices=("NONE", "JWT", "IAM"), default="NONE", help=access)
    parser.add_argument("--region", help="region of an API with IAM (by default that in its host name)")
    parser.add_argument("--stages", default="2m:4", help="shape of the load: DURATION:USERS,... (2m:4)")
    pause = "seconds that a user waits after each response (0)"
    parser.add_argument("--pause", type=float, default=0.0, help=pause)


@events.init.add_listener
def check_options(environment: Environment, **_: Any) -> None:
    """End with a message if the options are wrong, before the first request is sent."""
    options = environment.parsed_options
    try:
        Stages.stages = parse_stages(options.stages)
        Client.authorise = staticmethod(authoriser(options.access, options.host or "", options.region))
    except ValueError as error:
        sys.exit(f"error: {error}")
    Client.pause_s = options.pause


class Stages(LoadTestShape):
    """The number of users over time."""

    stages = parse_stages("2m:4")

    def tick(self) -> tuple[int, float] | None:
        users = users_at(self.stages, self.get_run_time())
        return None if users is None else (users, SPAWN_RATE)


class Client(FastHttpUser):
    """Sends a request, waits for the response, pauses, and repeats."""

    mix = Mix()
    authorise = staticmethod(authoriser("NONE", "", None))
    pause_s = 0.0
    # As API Gateway, whose limit is 30 seconds.
    network_timeout = connection_timeout = 60.0

    def wait_time(self) -> float:
        return self.pause_s

    @task
    def send(self) -> None:
        request = self.mix.choose()
        url = self.host.rstrip("/") + request.path
        with self.client.request(
            request.method,
            url,
            data=request.body or None,
            headers=dict(self.authorise(request, url)),
            name=request.name,
            catch_response=True,
            allow_redirects=False,
        ) as response:
            count(request, response)


def count(request: Request, response: Any) -> None:
    """Count a response as a success, as refused, or as a failure."""
    if response.status_code == 0:
        return  # the connection failed, which locust counts as a failure
    judged = outcome(request, response.status_code, response.headers or {})
    response.request_meta["name"] = judged.name
    if judged.failure:
        response.failure(f"{judged.failure}: {code(response)}")
    else:
        response.success()


def code(response: Any) -> str:
    """Return the code of an error body, or the start of the body of a gateway."""
    try:
        return str(json.loads(response.text)["code"])
    except (KeyError, TypeError, ValueError):
        return (response.text or "")[:80]


@events.quitting.add_listener
def fail_without_answers(environment: Environment, **_: Any) -> None:
    """Exit with 1 if nothing was answered, although refused requests are not failures."""
    refused = sum(
        entry.num_requests
        for entry in environment.stats.entries.values()
        if entry.name.startswith("refused: ")
    )
    if environment.stats.total.num_requests == refused:
        print("error: expected at least one request to be answered, but the deployment refused all of them")
        environment.process_exit_code = 1
