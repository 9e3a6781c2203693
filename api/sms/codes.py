"""Login codes: six digits for one minute, for one use, and five tries that are counted before they are compared.

They are kept in Redis alone, hashed with the service's secret; without Redis nobody logs in by a code. An unknown
number is answered like a known one, as fast, and is sent nothing.
"""

from __future__ import annotations

import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import redis
import structlog

from api.errors import SmsOff
from api.limits import Limit, Limits
from api.sms.providers import VALID_S, NotSent, Provider
from api.sms.settings import SmsSettings
from projections.redis_clients import reading

DIGITS = 6
TRIES_MAX = 5
SENDERS = 4
"""Messages on their way at a time in one process."""
HOUR_S, DAY_S = 3_600, 86_400
EVERYBODY = "all"
_CHECK = """local kept = redis.call('HGET', KEYS[1], 'digest')
if not kept then return -1 end
if redis.call('HINCRBY', KEYS[1], 'tries', 1) > tonumber(ARGV[2]) then return -1 end
if kept ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1"""

_log = structlog.get_logger(__name__)


class Codes:
    """Makes, sends and checks login codes. Thread-safe."""

    def __init__(
        self, client: redis.Redis, limits: Limits, provider: Provider | None, settings: SmsSettings, secret: bytes
    ) -> None:
        self._client = client
        self._limits = limits
        self._provider = provider
        self._secret = secret
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sms")
        self._number_hour = Limit(name="sms-hour", most=settings.sms_codes_per_number_hour_max, period_s=HOUR_S)
        self._number_day = Limit(name="sms-day", most=settings.sms_codes_per_number_day_max, period_s=DAY_S)
        self._address_hour = Limit(name="sms-from", most=settings.sms_codes_per_address_hour_max, period_s=HOUR_S)
        self._all_day = Limit(name="sms-all", most=settings.sms_codes_per_day_max, period_s=DAY_S)

    def send(self, mobile: str, *, address: str, is_known: bool) -> None:
        """Send a new code to a number (E.164), in place of the one before; to an unknown number nothing.

        Raises SmsOff, TooManyTries, ReadUnavailable.
        """
        if self._provider is None:
            raise SmsOff()
        self._limits.take(
            (
                (self._address_hour, address),
                (self._number_hour, mobile),
                (self._number_day, mobile),
                (self._all_day, EVERYBODY),
            )
        )
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        key = self._key(mobile)
        with reading(), self._client.pipeline(transaction=True) as pipeline:
            # Stored for an unknown number too: what takes another time tells who is known.
            pipeline.delete(key)
            pipeline.hset(key, mapping={"digest": self._digest(mobile, code) if is_known else "", "tries": 0})
            pipeline.expire(key, VALID_S)
            pipeline.execute()
        if is_known:
            self._senders.submit(self._post, self._provider, mobile, code)

    def is_right(self, mobile: str, code: str) -> bool:
        """Count a try, and say whether it is the number's code; a right one is used up. Raises ReadUnavailable."""
        return self.compared(mobile, code) is True

    def compared(self, mobile: str, code: str) -> bool | None:
        """Count a try and compare it; None when it is not even compared: without a code, or after the last try."""
        with reading():
            digest = self._digest(mobile, code)
            found = int(cast(int, self._client.eval(_CHECK, 1, self._key(mobile), digest, str(TRIES_MAX))))
        return None if found < 0 else bool(found)

    def close(self) -> None:
        """Send what is on its way."""
        self._senders.shutdown()

    def _post(self, provider: Provider, mobile: str, code: str) -> None:
        try:
            provider.send(mobile, code)
        except NotSent as error:
            _log.error("a login code was not sent", problem=str(error))
        except Exception:  # noqa: BLE001 - The edge of a thread: nobody else would hear of it.
            _log.exception("a login code was not sent")

    def _digest(self, mobile: str, code: str) -> str:
        return hmac.new(self._secret, f"{mobile} {code}".encode("utf-8", "surrogatepass"), "sha256").hexdigest()

    def _key(self, mobile: str) -> str:
        return f"ol:code:{hmac.new(self._secret, mobile.encode(), 'sha256').hexdigest()[:32]}"
