"""Vendors of SMS for tests: real HTTP servers that check signatures by the vendors' published rules, with hashlib alone.

Each knows one access key, answers as the vendor does, and quotes the message in what it says of a failure.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

KEY_ID, KEY_SECRET = "AKIDofTheTest", "s3cretOfTheTest"
SIGN_NAME = "签名 of tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What arrived; names of headers in small letters."""

    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What was asked to be sent."""

    number: str
    code: str
    sign_name: str
    template: str
    app_id: str = ""


def tc3_signature(secret: str, service: str, timestamp: int, headers: Mapping[str, str], body: bytes) -> str:
    """Sign a POST to `/` with these headers.

    Source: https://www.tencentcloud.com/document/product/406/35926
    """
    day = f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}"
    lines = "".join(f"{name}:{value.lower()}\n" for name, value in sorted(headers.items()))
    canonical = f"POST\n/\n\n{lines}\n{';'.join(sorted(headers))}\n{hashlib.sha256(body).hexdigest()}"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"TC3{secret}".encode()
    for part in (day, service, "tc3_request", f"TC3-HMAC-SHA256\n{timestamp}\n{day}/{service}/tc3_request\n{hashed}"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def acs3_signature(secret: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> str:
    """Sign a POST to `/` with these headers.

    Source: https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
    """
    pairs = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items()))
    lines = "".join(f"{name}:{value.strip()}\n" for name, value in sorted(headers.items()))
    canonical = f"POST\n/\n{pairs}\n{lines}\n{';'.join(sorted(headers))}\n{hashlib.sha256(body).hexdigest()}"
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


class Vendor(ABC):
    """The server. `refusal` is the code it answers to what is signed well; `raw`, an answer to everything."""

    name: str
    secret_refused: str
    template: str

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.messages: list[Message] = []
        self.came = threading.Semaphore(0)
        self.refusal: str | None = None
        self.raw: tuple[int, bytes] | None = None
        self.stalls = False
        self._closing = threading.Event()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                url = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(path=url.path, query=url.query, headers=headers, body=body)
                vendor.requests.append(request)
                if vendor.stalls:
                    vendor._closing.wait()
                    self.close_connection = True
                    return
                status, answer = vendor.raw or vendor.answer(request)
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def settings(self) -> dict[str, str]:
        """What is set up for this vendor."""
        return {
            "sms_provider": self.name,
            "sms_url": f"http://{self.host}",
            "sms_key_id": KEY_ID,
            "sms_key_secret": KEY_SECRET,
            "sms_sign_name": SIGN_NAME,
            "sms_template": self.template,
        }

    def code(self) -> str:
        """Wait for a message and return its code."""
        assert self.came.acquire(timeout=10), "no message came"
        return self.messages[-1].code

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Request) -> tuple[int, bytes]:
        """Answer as the vendor does, and keep the message when it takes it."""
        message = self.read(request)
        said = f"about {message} of {KEY_ID}"
        problem = self.problem(request)
        if problem is not None:
            return self.error(problem, said)
        if self.refusal is None:
            self.messages.append(message)
            self.came.release()
        return 200, json.dumps(self.outcome(self.refusal, said)).encode()

    @abstractmethod
    def read(self, request: Request) -> Message:
        """Return what a request asks for."""

    @abstractmethod
    def problem(self, request: Request) -> str | None:
        """Return what is wrong with a request's signature."""

    @abstractmethod
    def error(self, code: str, said: str) -> tuple[int, bytes]:
        """Return the answer to a request that is not let in."""

    @abstractmethod
    def outcome(self, refusal: str | None, said: str) -> Any:
        """Return the answer to a request that is let in."""


class TencentStub(Vendor):
    """Tencent Cloud's SMS."""

    name, secret_refused, template = "tencent", "AuthFailure.SignatureFailure", "1110"

    @property
    def settings(self) -> dict[str, str]:
        return super().settings | {"sms_app_id": "1400006666"}

    def read(self, request: Request) -> Message:
        sent = json.loads(request.body)
        (number,), (code,) = sent.pop("PhoneNumberSet"), sent.pop("TemplateParamSet")
        message = Message(
            number=number,
            code=code,
            sign_name=sent.pop("SignName"),
            template=sent.pop("TemplateId"),
            app_id=sent.pop("SmsSdkAppId"),
        )
        assert sent == {}
        return message

    def problem(self, request: Request) -> str | None:
        headers = request.headers
        if (headers["x-tc-action"], headers["x-tc-version"]) != ("SendSms", "2021-01-11"):
            return "InvalidAction"
        found = re.fullmatch(
            r"TC3-HMAC-SHA256 Credential=([^/]+)/([-\d]+)/(\w+)/tc3_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        if found is None or not {"content-type", "host"} <= {*found[4].split(";")} or headers["host"] != self.host:
            return "AuthFailure.InvalidAuthorization"
        key_id, day, service, signed, signature = found.groups()
        timestamp = int(headers["x-tc-timestamp"])
        if key_id != KEY_ID:
            return "AuthFailure.SecretIdNotFound"
        if abs(time.time() - timestamp) > 300 or day != f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}":
            return "AuthFailure.SignatureExpire"
        covered = {name: headers[name] for name in signed.split(";")}
        wanted = tc3_signature(KEY_SECRET, "sms", timestamp, covered, request.body)
        return None if (service, signature) == ("sms", wanted) else self.secret_refused

    def error(self, code: str, said: str) -> tuple[int, bytes]:
        return 200, json.dumps({"Response": {"Error": {"Code": code, "Message": said}, "RequestId": "r-1"}}).encode()

    def outcome(self, refusal: str | None, said: str) -> Any:
        status = {"Code": refusal or "Ok", "Message": said, "SerialNo": "5000:1", "Fee": 1, "PhoneNumber": said}
        return {"Response": {"SendStatusSet": [status], "RequestId": "r-1"}}


class AliyunStub(Vendor):
    """Alibaba Cloud's SMS."""

    name, secret_refused, template = "aliyun", "SignatureDoesNotMatch", "SMS_15305"

    def __init__(self) -> None:
        super().__init__()
        self.nonces: set[str] = set()

    def read(self, request: Request) -> Message:
        sent = dict(parse_qsl(request.query, strict_parsing=True))
        filled = json.loads(sent.pop("TemplateParam"))
        message = Message(
            number=sent.pop("PhoneNumbers"),
            code=filled.pop("code"),
            sign_name=sent.pop("SignName"),
            template=sent.pop("TemplateCode"),
        )
        assert (sent, filled, request.body) == ({}, {}, b"")
        return message

    def problem(self, request: Request) -> str | None:
        headers = request.headers
        if (headers["x-acs-action"], headers["x-acs-version"]) != ("SendSms", "2017-05-25"):
            return "InvalidAction.NotFound"
        found = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([a-z0-9;-]+),Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        must = {"host", *(name for name in headers if name.startswith("x-acs-"))}
        if found is None or not must <= {*found[2].split(";")} or headers["host"] != self.host:
            return "IncompleteSignature"
        key_id, signed, signature = found.groups()
        if key_id != KEY_ID:
            return "InvalidAccessKeyId.NotFound"
        at = datetime.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) - at) > timedelta(minutes=15):
            return "InvalidTimeStamp.Expired"
        covered = {name: headers[name] for name in signed.split(";")}
        wanted = acs3_signature(KEY_SECRET, dict(parse_qsl(request.query)), covered, request.body)
        if signature != wanted or headers["x-acs-content-sha256"] != hashlib.sha256(request.body).hexdigest():
            return self.secret_refused
        nonce = headers["x-acs-signature-nonce"]
        if nonce in self.nonces:
            return "SignatureNonceUsed"
        self.nonces.add(nonce)
        return None

    def error(self, code: str, said: str) -> tuple[int, bytes]:
        return 403, json.dumps({"Code": code, "Message": said, "RequestId": "r-1", "HostId": self.host}).encode()

    def outcome(self, refusal: str | None, said: str) -> Any:
        return {"Code": refusal or "OK", "Message": said, "RequestId": "r-1", "BizId": "1^0"}
