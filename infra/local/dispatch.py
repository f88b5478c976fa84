"""Let moto's server find a service quickly.

For every request it matches the host against the address patterns of all services, some two
hundred, under one lock; with a dozen threads that lock is where the time goes.
"""

from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from infra.local.patching import Patches

HOSTS_MAX = 500


def patch_dispatch(patches: Patches) -> None:
    find = DomainDispatcherApplication.get_backend_for_host
    known: dict[str | None, Any] = {}

    def remembered(dispatcher: DomainDispatcherApplication, host: str | None) -> Any:
        if host not in known:
            if len(known) >= HOSTS_MAX:
                known.clear()
            known[host] = find(dispatcher, host)
        return known[host]

    patches.replace(DomainDispatcherApplication, "get_backend_for_host", remembered)
