"""Codes by the vendors of SMS: signed as they want, sent once, and refusals told without code, number or secret."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.sms import providers
from api.sms.providers import NotSent, Provider, provider_of
from api.sms.settings import SmsSettings
from browser import Browser, new_user
from ledger.errors import BadSetting
from sms_vendors import (
    KEY_ID,
    KEY_SECRET,
    SIGN_NAME,
    AliyunStub,
    Message,
    TencentStub,
    Vendor,
    acs3_signature,
    tc3_signature,
)

MOBILE, CODE = "+8613800138000", "428913"
SECRETS = (CODE, MOBILE[1:], KEY_SECRET)
REFUSALS = {"tencent": "LimitExceeded.PhoneNumberDailyLimit", "aliyun": "isv.BUSINESS_LIMIT_CONTROL"}
PACKAGES = {"tencent": "tencentcloud", "aliyun": "alibabacloud_tea_openapi"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=[TencentStub, AliyunStub], ids=["tencent", "aliyun"])
def vendor(request: pytest.FixtureRequest) -> Iterator[Vendor]:
    opened: Vendor = request.param()
    yield opened
    opened.close()


def environment(vendor: Vendor, **settings: str) -> dict[str, str]:
    return {f"ORDERLEDGER_{name.upper()}": value for name, value in (vendor.settings | settings).items()}


def provider(vendor: Vendor, **settings: str) -> Provider:
    made = provider_of(SmsSettings.from_environment(environment(vendor, **settings)))
    assert made is not None
    return made


def test_our_signatures_are_those_of_the_vendors_own_examples() -> None:
    body = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    typed = {"content-type": "application/json; charset=utf-8", "host": "cvm.tencentcloudapi.com"}
    asked = {"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }

    tc3 = tc3_signature("Gu5t9xGARNpq86cd98joQYCN3*******", "cvm", 1551113065, typed, body)
    acs3 = acs3_signature("YourAccessKeySecret", asked, headers, b"")

    assert tc3 == "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c"
    assert acs3 == "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"


@pytest.mark.parametrize("mobile", [MOBILE, "+85291234567"])
def test_a_message_arrives_signed_with_all_its_fields(vendor: Vendor, mobile: str) -> None:
    provider(vendor).send(mobile, CODE)

    (message,) = vendor.messages
    if vendor.name == "tencent":
        number, app_id = mobile, "1400006666"
    else:
        number, app_id = mobile[1:], ""
    assert message == Message(number=number, code=CODE, sign_name=SIGN_NAME, template=vendor.template, app_id=app_id)
    assert vendor.requests[0].headers.get("x-tc-region") in (None, "ap-guangzhou")


def test_many_at_once_arrive_each_once(vendor: Vendor) -> None:
    sending = provider(vendor)
    codes = [f"{n:06}" for n in range(40)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda code: sending.send(MOBILE, code), codes))

    assert sorted(message.code for message in vendor.messages) == codes
    assert len(vendor.requests) == len(codes)


@pytest.mark.parametrize("debugging", [False, True])
def test_a_wrong_secret_is_refused_and_nothing_of_the_message_is_told(
    vendor: Vendor,
    debugging: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if debugging:
        monkeypatch.setenv("DEBUG", "sdk")
        for name in (None, "urllib3", "tencentcloud_sdk_common", "alibabacloud-tea", "darabonba-core"):
            caplog.set_level(logging.DEBUG, name)
    wrong = "an0therSecret"

    with pytest.raises(NotSent) as caught:
        provider(vendor, sms_key_secret=wrong).send(MOBILE, CODE)

    assert str(caught.value) == f"{vendor.name} did not take the message: {vendor.secret_refused}"
    told = "".join((str(caught.value), caplog.text, *capfd.readouterr()))
    assert not [secret for secret in (*SECRETS, wrong) if secret in told]
    assert vendor.messages == []


def test_a_refusal_in_a_good_answer_is_no_message_sent(vendor: Vendor) -> None:
    vendor.refusal = REFUSALS[vendor.name]

    with pytest.raises(NotSent, match=vendor.refusal):
        provider(vendor).send(MOBILE, CODE)

    assert len(vendor.requests) == 1


def test_a_reason_that_is_no_reasons_name_is_left_out(vendor: Vendor) -> None:
    vendor.refusal = f"no {CODE} to {MOBILE}"

    with pytest.raises(NotSent, match=f"^{vendor.name} did not take the message: it named no reason$"):
        provider(vendor).send(MOBILE, CODE)


@pytest.mark.parametrize("status", [200, 400, 502])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"{}", b'{"Response": 5, "Code": 5}', b"\xff"])
def test_an_answer_of_another_kind_is_no_message_sent(vendor: Vendor, status: int, body: bytes) -> None:
    vendor.raw = status, body

    with pytest.raises(NotSent) as caught:
        provider(vendor).send(MOBILE, CODE)

    assert not [secret for secret in SECRETS if secret in str(caught.value)]
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_code_is_not_posted_to_where_an_answer_points(vendor: Vendor, status: int) -> None:
    vendor.raw = status, b""

    with pytest.raises(NotSent):
        provider(vendor).send(MOBILE, CODE)

    carried = [each for each in vendor.requests if CODE in each.query or CODE.encode() in each.body]
    assert len(carried) == 1


def test_a_vendor_that_stalls_is_left_after_the_timeout_and_asked_once(vendor: Vendor) -> None:
    vendor.stalls = True
    sending = provider(vendor, sms_timeout_s="0.5")

    began = time.monotonic()
    with pytest.raises(NotSent) as caught:
        sending.send(MOBILE, CODE)

    assert 0.4 < time.monotonic() - began < 2
    assert len(vendor.requests) == 1
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_a_vendor_that_is_away_is_no_message_sent(vendor: Vendor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    sending = provider(vendor, sms_url=url)

    with pytest.raises(NotSent) as caught:
        sending.send(MOBILE, CODE)

    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_a_host_of_https_is_told_nothing_in_the_open(vendor: Vendor) -> None:
    with pytest.raises(NotSent):
        provider(vendor, sms_url=f"https://{vendor.host}").send(MOBILE, CODE)

    assert vendor.requests == []


def test_without_a_url_it_is_the_vendors_own_host_over_https() -> None:
    assert SmsSettings().endpoint("sms.example") == ("https", "sms.example")


def test_a_netrc_does_not_sign_instead(vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    provider(vendor).send(MOBILE, CODE)

    assert len(vendor.messages) == 1


@pytest.mark.parametrize("value", ["", " x"])
def test_a_setting_that_is_missing_is_named(vendor: Vendor, value: str) -> None:
    needed = [name for name in vendor.settings if name not in ("sms_provider", "sms_url")]

    for name in needed:
        with pytest.raises(BadSetting) as caught:
            SmsSettings.from_environment(environment(vendor, **{name: value}))
        assert caught.value.variable == f"ORDERLEDGER_{name.upper()}"
        assert "needs it" in caught.value.problem
    assert len(needed) == (5 if vendor.name == "tencent" else 4)


@pytest.mark.parametrize(
    "url", ["sms.example", "ftp://sms.example", "https://", "https://a/b", "https://a:b@c", "http://a?b"]
)
def test_a_url_that_is_no_host_is_refused(vendor: Vendor, url: str) -> None:
    with pytest.raises(BadSetting, match="SMS_URL"):
        SmsSettings.from_environment(environment(vendor, sms_url=url))


def test_without_its_package_a_vendor_says_how_to_get_it(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"api.sms.{vendor.name}", raising=False)
    for name in [each for each in sys.modules if each.split(".")[0] == PACKAGES[vendor.name]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, PACKAGES[vendor.name], None)

    with pytest.raises(BadSetting) as caught:
        provider(vendor)

    assert caught.value.variable == "ORDERLEDGER_SMS_PROVIDER"
    assert f"pip install 'orderledger[{vendor.name}]'" in caught.value.problem


def test_nobodys_package_is_imported_before_it_is_chosen() -> None:
    script = (
        "import sys, api.services\n"
        "from api.sms.providers import provider_of\n"
        "from api.sms.settings import SmsSettings\n"
        "provider_of(SmsSettings(sms_provider='console'))\n"
        "print([name for name in sys.modules if name in ('tencentcloud', 'alibabacloud_tea_openapi', 'requests')])"
    )
    root = Path(providers.__file__).parents[2]

    said = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)

    assert said.stdout == "[]\n"


def test_a_user_logs_in_by_the_code_that_a_vendor_took(vendor: Vendor, open_people: Any) -> None:
    front = open_people(**vendor.settings)
    new_user(front, "ada", "operator", mobile=MOBILE)

    assert Browser(front.app).ask("POST", "sms-codes", {"mobile": "138 0013 8000"}).status_code == 202
    code = vendor.code()

    browser = Browser(front.app)
    assert browser.ask("POST", "session", {"mobile": MOBILE, "code": code}).status_code == 201
    assert browser.me()["username"] == "ada"


def test_a_vendor_that_refuses_changes_no_answer_and_is_logged_by_its_reason(
    vendor: Vendor, open_people: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    front = open_people(**vendor.settings | {"sms_key_secret": "an0therSecret"})
    new_user(front, "ada", "operator", mobile=MOBILE)

    assert Browser(front.app).ask("POST", "sms-codes", {"mobile": MOBILE}).status_code == 202

    front.services.codes.close()
    said = "".join(capsys.readouterr())
    code = vendor.read(vendor.requests[0]).code
    assert "was not sent" in said and vendor.secret_refused in said
    assert not [secret for secret in (code, MOBILE[1:], KEY_ID, "an0therSecret") if secret in said]
