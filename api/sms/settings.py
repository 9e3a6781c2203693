"""The settings of login codes and of who sends them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ledger.errors import BadSetting
from ledger.settings import PREFIX, integer, one_of, read_settings, seconds, setting, text

OFF, CONSOLE, HTTP, TENCENT, ALIYUN = "off", "console", "http", "tencent", "aliyun"
NEEDED = {
    TENCENT: ("SMS_KEY_ID", "SMS_KEY_SECRET", "SMS_SIGN_NAME", "SMS_TEMPLATE", "SMS_APP_ID"),
    ALIYUN: ("SMS_KEY_ID", "SMS_KEY_SECRET", "SMS_SIGN_NAME", "SMS_TEMPLATE"),
}
"""The settings without which a vendor sends nothing."""
DEFAULT_BODY = '{"mobile": "$mobile", "code": "$code", "valid_s": "$valid_s"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsSettings:
    """Who sends codes, and how many."""

    sms_provider: str = setting(
        "SMS_PROVIDER",
        one_of(OFF, CONSOLE, HTTP, TENCENT, ALIYUN),
        OFF,
        "who sends login codes: off (nobody; only passwords), console (prints them: for development; what `up` takes), "
        "http, tencent, aliyun",
    )
    sms_url: str = setting(
        "SMS_URL", text, "", "where http posts a code; host to which tencent and aliyun post, empty: the vendor's own"
    )
    sms_token: str = setting("SMS_TOKEN", text, "", "sent as a bearer token with http's posts", secret=True)
    sms_body: str = setting(
        "SMS_BODY",
        text,
        DEFAULT_BODY,
        "JSON that http posts; $mobile, $code and $valid_s are filled in within its texts",
    )
    sms_key_id: str = setting("SMS_KEY_ID", text, "", "id of the access key at tencent or aliyun")
    sms_key_secret: str = setting(
        "SMS_KEY_SECRET", text, "", "secret of that key, with which requests are signed", secret=True
    )
    sms_sign_name: str = setting("SMS_SIGN_NAME", text, "", "signature of the messages, as the vendor approved it")
    sms_template: str = setting(
        "SMS_TEMPLATE", text, "", "the vendor's id of the template, whose one variable is the code"
    )
    sms_app_id: str = setting("SMS_APP_ID", text, "", "SdkAppId of the application at tencent")
    sms_region: str = setting("SMS_REGION", text, "ap-guangzhou", "region of tencent")
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
        for variable in NEEDED.get(found.sms_provider, ()):
            value = getattr(found, variable.lower())
            if not value or value != value.strip():
                raise BadSetting(
                    variable=PREFIX + variable,
                    problem=f"{found.sms_provider} needs it, without spaces around it; see docs/operating.md",
                )
        if found.sms_provider in NEEDED and not re.fullmatch(r"(https?://[^/?#@\s]+/?)?", found.sms_url):
            raise BadSetting(
                variable=f"{PREFIX}SMS_URL", problem=f"{found.sms_provider} takes a host such as https://sms.example"
            )
        return found

    def endpoint(self, host: str) -> tuple[str, str]:
        """Return scheme and host to which a vendor's requests go: HTTPS and the given host, unless a URL is set."""
        url = urlsplit(self.sms_url or f"https://{host}")
        return url.scheme, url.netloc
