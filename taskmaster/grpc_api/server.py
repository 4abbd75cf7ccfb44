"""The gRPC server: services, health, reflection, TLS, and how it listens and stops.

Rules of residence: puts the parts together; no method. It runs on the node's loop, for grpc.aio
has one poller in a process.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from taskmaster.api.auth import Guard
from taskmaster.api.context import Api
from taskmaster.api.reading import MAX_BATCH_BYTES
from taskmaster.errors import InvalidFieldError, StoreUnavailableError
from taskmaster.grpc_api import submissions, watching
from taskmaster.grpc_api.edge import GrpcEdge
from taskmaster.grpc_api.methods import METHODS, answering
from taskmaster.settings import Grpc
from taskmaster.v1 import gates_pb2, series_pb2, tasks_pb2

SERVICES: tuple[ServiceDescriptor, ...] = (
    tasks_pb2.DESCRIPTOR.services_by_name["TaskService"],
    gates_pb2.DESCRIPTOR.services_by_name["GateService"],
    series_pb2.DESCRIPTOR.services_by_name["SeriesService"],
)
HEALTH = "grpc.health.v1.Health"
STOP_S = 2.0
"""How long open calls may take to end once the node drains, as over HTTP."""
OPTIONS = (
    ("grpc.so_reuseport", 0),  # two servers on one port would share its callers by chance
    ("grpc.max_receive_message_length", MAX_BATCH_BYTES),
)
_UNARY = {method.name: method for method in METHODS}
_BATCH = "TaskService/BatchSubmitTasks"
_STREAMING: dict[str, Any] = {
    "TaskService/SubmitTasks": submissions.stream,
    "TaskService/WatchTask": watching.watch_task,
    "GateService/WatchGate": watching.watch_gate,
}


class GrpcServer:
    """Serves a node over gRPC."""

    def __init__(self, api: Api, guard: Guard, settings: Grpc) -> None:
        """Listen where `settings` say, once started.

        Raises:
            StoreUnavailableError: nobody can listen there.
            InvalidFieldError: the certificate or the key cannot be used.
        """
        self._api = api
        self._edge = GrpcEdge(api, guard)
        self._server = grpc.aio.server(options=OPTIONS)
        self._health: Any = HealthServicer()
        for service in SERVICES:
            handlers = dict(self._handlers(service))
            generic = grpc.method_handlers_generic_handler(service.full_name, handlers)
            self._server.add_generic_rpc_handlers((generic,))
        health_pb2_grpc.add_HealthServicer_to_server(  # pyright: ignore[reportUnknownMemberType]  # generated
            self._health, self._server
        )
        names = (*(service.full_name for service in SERVICES), HEALTH)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        self.port = self._listen(settings)

    async def start(self) -> None:
        """Take calls."""
        for name in ("", *(service.full_name for service in SERVICES)):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def stop(self) -> None:
        """Take no more calls; those that are open have a moment to end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(STOP_S)

    def _listen(self, settings: Grpc) -> int:
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"{shown}:{settings.port}"
        try:
            if not settings.tls_cert:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, _credentials(settings))
        except RuntimeError as error:
            raise StoreUnavailableError(
                f"cannot listen on {address} for gRPC",
                field="grpc.port",
                remedy="choose another --grpc-port, or 0 for any that is free; see whether the"
                " certificate and its key belong together",
            ) from error

    def _handlers(self, service: ServiceDescriptor) -> Iterator[tuple[str, Any]]:
        for method in service.methods:
            yield method.name, self._handler(f"{service.name}/{method.name}", method)

    def _handler(self, name: str, method: MethodDescriptor) -> Any:
        edge = self._edge
        request = message_factory.GetMessageClass(method.input_type)
        reply = message_factory.GetMessageClass(method.output_type)
        codec = (request.FromString, reply.SerializeToString)
        if name in _STREAMING:
            behavior = edge.many(name, partial(_STREAMING[name], self._api))
            if method.client_streaming:
                return grpc.stream_stream_rpc_method_handler(behavior, *codec)
            return grpc.unary_stream_rpc_method_handler(behavior, *codec)
        if name == _BATCH:
            answer = partial(submissions.batch, self._api)
            return grpc.unary_unary_rpc_method_handler(edge.once(name, answer), *codec)
        unary = _UNARY[name]
        inside = method.input_type.fields_by_name.get(unary.inside)
        body = inside and inside.message_type
        fields = tuple(body.fields_by_name) if body else ()
        answer = answering(self._api, unary, reply)
        behavior = edge.once(name, answer, inside=unary.inside, fields=fields)
        return grpc.unary_unary_rpc_method_handler(behavior, *codec)


def _credentials(settings: Grpc) -> grpc.ServerCredentials:
    try:
        return grpc.ssl_server_credentials(
            [(settings.tls_key.encode(), settings.tls_cert.encode())],
            root_certificates=settings.client_ca.encode() or None,
            require_client_auth=bool(settings.client_ca),
        )
    except ValueError as error:
        raise InvalidFieldError(
            "the certificate of gRPC cannot be used", field="grpc.tls_cert", remedy="give PEM"
        ) from error
