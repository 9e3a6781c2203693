"""Codes by Alibaba Cloud: `SendSms` of its SMS API of 2017-05-25, signed with ACS3-HMAC-SHA256 by the vendor's package.

Numbers go with their country's code and without `+`, which holds for the mainland as for everywhere else. The template
has one variable, `${code}`. The vendor would send a repeated request again, so nothing is repeated.

Source: https://help.aliyun.com/document_detail/55284.html
"""

from __future__ import annotations

import json

from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.exceptions import UnretryableException
from darabonba.policy.retry import RetryOptions
from darabonba.runtime import RuntimeOptions

from api.sms.providers import NotSent, keep_quiet, refused
from api.sms.settings import ALIYUN, SmsSettings

HOST = "dysmsapi.aliyuncs.com"
SEND = Params(
    action="SendSms",
    version="2017-05-25",
    protocol="HTTPS",
    method="POST",
    pathname="/",
    style="RPC",
    auth_type="AK",
    req_body_type="formData",
    body_type="json",
)


class AliyunProvider:
    """Has Alibaba Cloud send codes."""

    def __init__(self, settings: SmsSettings) -> None:
        # The message is in the URL, as the vendor has it, and so in what these say of requests.
        keep_quiet("darabonba-core", "alibabacloud-tea", "urllib3")
        scheme, host = settings.endpoint(HOST)
        timeout_ms = round(settings.sms_timeout_s * 1000)
        self._settings = settings
        self._client = Client(
            Config(
                access_key_id=settings.sms_key_id,
                access_key_secret=settings.sms_key_secret,
                protocol=scheme,
                endpoint=host,
                connect_timeout=timeout_ms,
                read_timeout=timeout_ms,
                retry_options=RetryOptions({"retryable": False}),
            )
        )

    def send(self, mobile: str, code: str) -> None:
        """Send a code."""
        message = {
            "PhoneNumbers": mobile.removeprefix("+"),
            "SignName": self._settings.sms_sign_name,
            "TemplateCode": self._settings.sms_template,
            "TemplateParam": json.dumps({"code": code}),
        }
        try:
            answer = self._client.call_api(SEND, OpenApiRequest(query=message), RuntimeOptions())
        except AlibabaCloudException as error:
            raise refused(ALIYUN, error.code) from None
        except UnretryableException:
            raise NotSent(f"{ALIYUN} cannot be reached, or does not answer as it should") from None
        match answer:
            case {"body": {"Code": "OK"}}:
                return
            case {"body": {"Code": reason}}:
                raise refused(ALIYUN, reason)
            case _:
                raise NotSent(f"{ALIYUN} does not answer as it should")
