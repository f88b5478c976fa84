"""Who may sign in, how, and with which keys: read from parameters, validated once, read again.

Everything is closed until it is set up: without an origin and a session key every request that
needs a session is answered with 503.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlsplit

from chalicelib.adapters.oauth import GITHUB, GOOGLE, OAuthProvider
from chalicelib.api.signing import key_of
from chalicelib.domain.errors import InvalidInput, PapercopyError, Permanent

LOCAL_OWNER = "local:owner"
"""Who starts papercopy on this machine and opens the link it printed."""
SUBJECTS_MAX = 100
REFRESH_MS = 300_000
"""A parameter that was changed is in force after this."""
REFRESH_MS_MIN = 10_000
"""A cookie of an unknown key makes the keys be read again, at most this often."""
_LOOPBACK = {"127.0.0.1", "localhost"}
_GITHUB_ID = re.compile(r"[1-9][0-9]{0,18}")
_GOOGLE_SUBJECT = re.compile(r"[0-9]{1,255}")

SETTINGS = (
    "public_origin",
    "github_client_id",
    "google_client_id",
    "allowed_github_ids",
    "allowed_google_subjects",
)
"""Parameters that an environment variable of the same name in capitals overrides."""
SECRETS = ("session_key", "session_key_previous", "github_client_secret", "google_client_secret")
"""Parameters that must be SecureString and come from nowhere else."""


@dataclass(frozen=True, slots=True)
class Access:
    """`origin` is where browsers find us; `keys` sign, the current one first."""

    origin: str
    keys: tuple[bytes, ...]
    subjects: frozenset[str] = frozenset()
    providers: Mapping[str, OAuthProvider] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether this is plain http on the machine itself."""
        return self.origin.startswith("http://")

    @property
    def origins(self) -> frozenset[str]:
        """What the Origin header of our own pages says."""
        if not self.is_local:
            return frozenset({self.origin})
        return frozenset(f"http://{host}:{self._port}" for host in _LOOPBACK)

    @property
    def session_name(self) -> str:
        return f"papercopy-local-{self._port}" if self.is_local else "__Host-papercopy"

    @property
    def sign_in_name(self) -> str:
        if self.is_local:
            return f"papercopy-local-sign-in-{self._port}"
        return "__Host-papercopy-sign-in"

    @property
    def ways(self) -> list[str]:
        """How one can sign in here."""
        return ["local"] if self.is_local else sorted(self.providers)

    @property
    def _port(self) -> int:
        return urlsplit(self.origin).port or 80

    def redirect_uri(self, provider: str) -> str:
        """Where the provider sends the browser back to; registered there word for word."""
        return f"{self.origin}/api/auth/callback/{provider}"


def local_access(port: int, keys: tuple[bytes, ...]) -> Access:
    """Access on this machine: its owner, through a link."""
    return Access(f"http://127.0.0.1:{port}", keys, frozenset({LOCAL_OWNER}))


def access_from(values: Mapping[str, str]) -> Access:
    """Access as the parameters say. Raises InvalidInput naming the one that is wrong."""
    origin = _origin(values.get("public_origin", ""))
    names = [name for name in ("session_key", "session_key_previous") if values.get(name)]
    keys = tuple(key_of(values[name], name) for name in names)
    if not values.get("session_key"):
        raise InvalidInput("session_key", "is not set")
    if urlsplit(origin).scheme == "http":
        return local_access(urlsplit(origin).port or 80, keys)
    subjects = _subjects(values, "allowed_github_ids", "github", _GITHUB_ID)
    subjects |= _subjects(values, "allowed_google_subjects", "google", _GOOGLE_SUBJECT)
    if len(subjects) > SUBJECTS_MAX:
        raise InvalidInput("allowed_github_ids", f"at most {SUBJECTS_MAX} people may be allowed")
    return Access(origin, keys, frozenset(subjects), _providers(values))


def _origin(text: str) -> str:
    """Raises InvalidInput for anything but https://host[:port], or http on this machine."""
    if not text:
        raise InvalidInput("public_origin", "is not set")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise InvalidInput("public_origin", "is no address") from None
    host = url.hostname or ""
    written = f"{url.scheme}://{host}" + (f":{port}" if port else "")
    local = url.scheme == "http" and host in _LOOPBACK
    if written != text or not host or not (url.scheme == "https" or local):
        raise InvalidInput("public_origin", "https://host was expected, in lower case, no path")
    return text


def _subjects(
    values: Mapping[str, str], name: str, provider: str, form: re.Pattern[str]
) -> set[str]:
    ids = [part.strip() for part in values.get(name, "").split(",") if part.strip()]
    for each in ids:
        if not form.fullmatch(each):
            raise InvalidInput(name, "numbers separated by commas were expected")
    return {f"{provider}:{each}" for each in ids}


def _providers(values: Mapping[str, str]) -> dict[str, OAuthProvider]:
    found = {}
    for endpoints in (GITHUB, GOOGLE):
        client_id = values.get(f"{endpoints.name}_client_id", "")
        secret = values.get(f"{endpoints.name}_client_secret", "")
        if client_id and secret:
            found[endpoints.name] = OAuthProvider(endpoints, client_id, secret)
    return found


class StoredAccess:
    """Access as it is stored, kept for REFRESH_MS.

    While it cannot be read again the last one stays in force; a wrong one is refused at once.
    """

    def __init__(self, read: Callable[[], Mapping[str, str]], now_ms: Callable[[], int]) -> None:
        self._read = read
        self._now_ms = now_ms
        self._known: Access | None = None
        self._ts_tried = 0
        self._lock = Lock()

    def __call__(self) -> Access:
        """Raises InvalidInput for parameters that are wrong, Retryable or Permanent without any."""
        return self._current(REFRESH_MS)

    def fresh(self) -> Access:
        """Access as of the last REFRESH_MS_MIN; for whoever meets a key that is not known."""
        return self._current(REFRESH_MS_MIN)

    def _current(self, age_ms_max: int) -> Access:
        with self._lock:
            now = self._now_ms()
            if self._known and now - self._ts_tried < age_ms_max:
                return self._known
            self._ts_tried = now
            try:
                self._known = access_from(self._read())
            except InvalidInput:
                self._known = None
                raise
            except PapercopyError as error:
                if self._known is None or isinstance(error, Permanent):
                    self._known = None
                    raise
            return self._known
