"""Authorise the requests of a load test: signatures for IAM, a token, or nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from infra.load.mix import Request

# Returns the headers of a request to a URL.
Authorise = Callable[[Request, str], Mapping[str, str]]
TOKEN = "LOAD_TOKEN"


def authoriser(access: str, host: str, region: str | None) -> Authorise:
    """Return a function that adds to the headers of requests what the deployment requires.

    Parameters
    ----------
    access
        ``NONE``, ``JWT`` or ``IAM``, as the parameter ``Access`` of the template. An API key of ``serve`` is
        sent like a token.
    host
        The URL of the deployment.
    region
        The region of an API with ``IAM``; by default that in the name of the host.

    Raises
    ------
    ValueError
        If the token, the credentials or the region is missing.
    """
    if access == "NONE":
        return lambda request, _: request.headers
    if access == "JWT":
        token = os.environ.get(TOKEN)
        if not token:
            raise ValueError(f"--access JWT needs the token in the environment variable {TOKEN}, got none")
        return lambda request, _: {**request.headers, "Authorization": f"Bearer {token}"}
    return _signer(region or _region(host))


def _region(host: str) -> str:
    found = re.search(r"\.execute-api\.([a-z0-9-]+)\.", host)
    if not found:
        raise ValueError(
            f"--access IAM needs the region of the API: pass --region, because {host} does not contain it"
        )
    return found[1]


def _signer(region: str) -> Authorise:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    credentials = Session().get_credentials()
    if credentials is None:
        raise ValueError(
            "--access IAM needs AWS credentials, got none: run `aws configure`, or set AWS_PROFILE"
        )

    def signed(request: Request, url: str) -> Mapping[str, str]:
        # A snapshot for each request, because temporary credentials are refreshed.
        unsigned = AWSRequest(request.method, url, dict(request.headers), request.body)
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region).add_auth(unsigned)
        return dict(unsigned.headers.items())

    return signed
