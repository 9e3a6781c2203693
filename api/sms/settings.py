"""The settings of login codes and of who sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.errors import BadSetting
from ledger.settings import PREFIX, integer, one_of, read_settings, seconds, setting, text

OFF, CONSOLE, HTTP = "off", "console", "http"
DEFAULT_BODY = '{"mobile": "$mobile", "code": "$code", "valid_s": "$valid_s"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsSettings:
    """Who sends codes, and how many."""

    sms_provider: str = setting(
        "SMS_PROVIDER",
        one_of(OFF, CONSOLE, HTTP),
        OFF,
        "who sends login codes: off (nobody; only passwords), console (prints them: for development; what `up` takes), http",
    )
    sms_url: str = setting("SMS_URL", text, "", "where http posts a code")
    sms_token: str = setting("SMS_TOKEN", text, "", "sent as a bearer token with http's posts", secret=True)
    sms_body: str = setting(
        "SMS_BODY",
        text,
        DEFAULT_BODY,
        "JSON that http posts; $mobile, $code and $valid_s are filled in within its texts",
    )
    sms_timeout_s: float = setting("SMS_TIMEOUT_S", seconds(0.1, 60), 5.0, "longest wait for a provider, in seconds")
    sms_codes_per_number_hour_max: int = setting(
        "SMS_CODES_PER_NUMBER_HOUR_MAX", integer(1, 1_000), 5, "codes sent to one number in an hour"
    )
    sms_codes_per_number_day_max: int = setting(
        "SMS_CODES_PER_NUMBER_DAY_MAX", integer(1, 1_000), 10, "codes sent to one number in a day"
    )
    sms_codes_per_address_hour_max: int = setting(
        "SMS_CODES_PER_ADDRESS_HOUR_MAX", integer(1, 100_000), 30, "codes asked for from one address in an hour"
    )
    sms_codes_per_day_max: int = setting(
        "SMS_CODES_PER_DAY_MAX", integer(1, 10_000_000), 10_000, "codes asked for in a day, all together"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SmsSettings:
        """Read the settings from environment variables. Raises BadSetting."""
        found = read_settings(cls, environment)
        if found.sms_provider == HTTP and not found.sms_url.startswith(("https://", "http://")):
            raise BadSetting(variable=f"{PREFIX}SMS_URL", problem="http needs a URL such as https://sms.example/send")
        return found
