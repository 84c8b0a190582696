"""The route that computes embeddings."""

from __future__ import annotations

import math
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request, Response

from audio_classifier.errors import UnreadableAudioError
from audio_classifier.server.body import audio_request
from audio_classifier.server.deadlines import bounded
from audio_classifier.server.errors import ERROR_RESPONSES
from audio_classifier.server.json_response import embeddings_response
from audio_classifier.server.limiter import ConcurrencyLimiter
from audio_classifier.server.schemas import AUDIO_BODY, EmbedResponse, query_parameters
from audio_classifier.server.spool import Spool
from audio_classifier.service.cancellation import DEADLINE_KEY, Cancellation
from audio_classifier.service.embed import embed
from audio_classifier.service.object_access import ObjectAccess
from audio_classifier.service.parameters import EmbedParameters, merge_repeated, parse_embed_parameters
from audio_classifier.service.shared_classifier import SharedClassifier


def embed_routes(
    shared: SharedClassifier, access: ObjectAccess, limiter: ConcurrencyLimiter, spool: Spool
) -> APIRouter:
    """Create the route, which shares the limits of predictions.

    Parameters
    ----------
    shared
        Computes the embeddings.
    access
        Opens the objects that requests name.
    limiter, spool
        Those of predictions.
    """
    router = APIRouter(tags=["model"])
    deadline_s = shared.settings.timeline_deadline_s

    @router.post(
        "/model/embed",
        operation_id="embed",
        response_model=EmbedResponse,
        response_model_exclude_none=True,
        responses=ERROR_RESPONSES,
        openapi_extra={"requestBody": AUDIO_BODY, "parameters": query_parameters(EmbedParameters)},
    )
    async def embed_audio(request: Request) -> Any:
        """Compute the embeddings of a whole recording"""
        in_query = request.query_params.multi_items()
        parse_embed_parameters(merge_repeated(in_query))  # before the body is received
        cancellation = Cancellation(min(request.scope.get(DEADLINE_KEY, math.inf), deadline_s))
        async with AsyncExitStack() as resources:
            async with bounded(cancellation):
                audio = await resources.enter_async_context(audio_request(request, access, spool))
            parameters = parse_embed_parameters(merge_repeated([*audio.fields, *in_query]))

            def respond() -> Response:  # in a thread, because encoding takes time as well
                return embeddings_response(embed(shared, audio.open_source(), parameters, cancellation))

            try:
                async with bounded(cancellation, request.receive):
                    return await limiter.run(respond)
            except UnreadableAudioError as error:
                error.hint = audio.unreadable_hint() or error.hint
                raise

    return router
