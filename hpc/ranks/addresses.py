"""Where a job listens and where its ranks are reached: on the network of the job, and on no other.

A job on one host listens on the loopback interface alone. With several hosts it listens on what the name of its host
stands for, or on the interfaces that `GLOO_SOCKET_IFNAME` names, which gloo listens on too.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import logging
import os
import socket
import struct
from collections.abc import MutableMapping

LOOPBACK = "127.0.0.1"
_INTERFACES = "GLOO_SOCKET_IFNAME"
_GET_ADDRESS = 0x8915  # SIOCGIFADDR
log = logging.getLogger(__name__)


def own_addresses(host: str, num_nodes: int, environ: MutableMapping[str, str] = os.environ) -> list[str]:
    """What rank 0 listens on, its own host's ranks first; "" stands for all there is, where nothing better is known."""
    if num_nodes == 1:
        return [LOOPBACK]
    named = [name for name in environ.get(_INTERFACES, "").split(",") if name]
    found = [address for name in named if (address := interface_address(name)) is not None] or resolved(host)
    found = [address for address in dict.fromkeys(found) if not ipaddress.ip_address(address).is_loopback]
    if not found:
        log.warning("%s stands for no address that other hosts reach: listening on all. Set %s.", host, _INTERFACES)
        return [""]
    return [LOOPBACK, *found]


def stay_on_loopback(num_nodes: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """A job on one host: gloo and NCCL listen on the loopback interface, unless the user has said otherwise."""
    name = _loopback_interface()
    if num_nodes == 1 and name is not None:
        for variable in (_INTERFACES, "NCCL_SOCKET_IFNAME"):
            environ.setdefault(variable, name)


def resolved(host: str) -> list[str]:
    """The addresses that a name stands for."""
    with contextlib.suppress(OSError):
        return sorted({str(item[4][0]) for item in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)})
    return []


def interface_address(name: str) -> str | None:
    """The IPv4 address of a network interface; None where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _GET_ADDRESS, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


def _loopback_interface() -> str | None:
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if (interface_address(name) or "").startswith("127.")), None)
