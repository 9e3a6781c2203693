"""Codes by Tencent Cloud: `SendSms` of its SMS API of 2021-01-11, signed with TC3-HMAC-SHA256 by the vendor's package.

Numbers go as they are, in E.164 with its `+`. The template has one variable, `{1}`: the code.

Source: https://cloud.tencent.com/document/api/382/55981
"""

from __future__ import annotations

from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.common.retry import NoopRetryer

from api.sms.providers import NotSent, keep_quiet, refused
from api.sms.settings import TENCENT, SmsSettings

HOST = "sms.tencentcloudapi.com"
VERSION = "2021-01-11"


class TencentProvider:
    """Has Tencent Cloud send codes."""

    def __init__(self, settings: SmsSettings) -> None:
        keep_quiet("tencentcloud_sdk_common", "urllib3")
        scheme, host = settings.endpoint(HOST)
        http = HttpProfile(protocol=scheme, endpoint=host, reqTimeout=settings.sms_timeout_s)
        profile = ClientProfile(httpProfile=http, retryer=NoopRetryer())
        credential = Credential(settings.sms_key_id, settings.sms_key_secret)
        self._settings = settings
        self._client = CommonClient("sms", VERSION, credential, settings.sms_region, profile)
        # For these the package has no options. A code is not posted to where an answer points, and a .netrc does not
        # put a password where the signature stands.
        session = self._client.request.conn._session
        session.max_redirects, session.trust_env = 0, False

    def send(self, mobile: str, code: str) -> None:
        """Send a code."""
        message = {
            "PhoneNumberSet": [mobile],
            "SmsSdkAppId": self._settings.sms_app_id,
            "SignName": self._settings.sms_sign_name,
            "TemplateId": self._settings.sms_template,
            "TemplateParamSet": [code],
        }
        try:
            answer = self._client.call_json("SendSms", message)
        except TencentCloudSDKException as error:
            raise refused(TENCENT, error.code) from None
        except (OSError, LookupError, TypeError, ValueError):
            # Its package lets through what goes wrong while an answer is read.
            raise NotSent(f"{TENCENT} did not answer as it should") from None
        match answer:
            case {"Response": {"SendStatusSet": [{"Code": "Ok"}]}}:
                return
            case {"Response": {"SendStatusSet": [{"Code": reason}]}}:
                raise refused(TENCENT, reason)
            case _:
                raise NotSent(f"{TENCENT} did not answer as it should")
