"""Users over HTTP. Nobody makes, changes or lets in a user who may do more than he may himself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.authentication import ensure_all_permitted
from api.directory.findings import Problem, Rules
from api.directory.resources import Content, Resource, routes
from api.directory.schemas import NewPassword, NewPasswordShown, UserChanges, UserContents, UserShown
from api.directory.services import services_of
from api.errors import FieldError, InvalidFields
from api.routing import Answer, Call
from ledger.directory import passwords, users
from ledger.directory.errors import BadField
from ledger.directory.listing import ListQuery, Page
from ledger.directory.models import Customer, Role
from ledger.directory.roles import permissions_of


def login_problem(content: Mapping[str, Any]) -> Problem | None:
    """Say what is wrong with a new user beyond its fields."""
    problem = users.username_problem(content["username"])
    if problem is not None:
        return "username", problem
    if content["role"] == users.CUSTOMER_ROLE and content.get("customer_id") is None:
        return "customer_id", "a user with the role customer needs its customer"
    if content.get("password") is not None:
        problem = passwords.problem_of(content["password"], username=content["username"])
        return None if problem is None else ("password", problem)
    if content.get("mobile") is None:
        return "password", "a user without a mobile number needs a password to log in"
    return None


def _listed(call: Call, query: ListQuery) -> Page:
    return users.listed(services_of(call).directory, query)


def _create(call: Call, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    services = services_of(call)
    ensure_all_permitted(call.asker, permissions_of(services.directory, [each["role"] for each in contents]))
    prefixes = [""] if len(contents) == 1 and isinstance(call.body, dict) else [f"/{n}" for n in range(len(contents))]
    wanted = [_with_number(call, each, at) for each, at in zip(contents, prefixes, strict=True)]
    return users.create(services.directory, wanted)


def _read(call: Call, user_id: str) -> dict[str, Any]:
    return users.read(services_of(call).directory, user_id)


def _change(call: Call, user_id: str, changes: Content, revision: int | None) -> dict[str, Any]:
    directory = services_of(call).directory
    _ensure_above(call, user_id, *([changes["role"]] if "role" in changes else []))
    return users.change(directory, user_id, _with_number(call, dict(changes), ""), revision=revision)


def _delete(call: Call, user_id: str, revision: int | None) -> None:
    _ensure_above(call, user_id)
    users.delete(services_of(call).directory, user_id, revision=revision)


def _ensure_above(call: Call, user_id: str, *roles: str) -> None:
    """Raise Forbidden unless the asker may do all that the user may, and what these roles permit."""
    directory = services_of(call).directory
    role = users.read(directory, user_id)["role"]
    ensure_all_permitted(call.asker, permissions_of(directory, [role, *roles]))


def _with_number(call: Call, content: dict[str, Any], at: str) -> dict[str, Any]:
    """Return the content with its number in its one stored form. Raises InvalidFields."""
    if content.get("mobile") is None:
        return content
    try:
        number = users.mobile_number(content["mobile"], services_of(call).settings.phone_region)
    except ValueError as error:
        raise InvalidFields(errors=[FieldError(pointer=f"{at}/mobile", detail=str(error))]) from None
    return {**content, "mobile": number}


RESOURCE = Resource(
    singular="user",
    plural="users",
    path="/v1/users",
    kind=users.KIND,
    may_read="users.read",
    may_write="users.write",
    may_delete="users.write",
    listing=users.LISTING,
    listed=_listed,
    shown=UserShown(),
    created=UserShown(),
    contents=UserContents,
    changes=UserChanges(partial=True),
    rules=Rules(kind=users.KIND, references={"role": Role.name, "customer_id": Customer.id}, also=login_problem),
    create=_create,
    read=_read,
    change=_change,
    delete=_delete,
)
ROUTES = routes(RESOURCE)


@ROUTES.post(
    "/v1/users/<token:id>/password",
    permission="users.write",
    summary="Give a user a new password; its sessions end. Without one in the body it is generated.",
    body=NewPassword(),
    answers={200: NewPasswordShown()},
    errors=(404, 422),
)
def reset_password(call: Call) -> Answer:
    """Give a user a new password."""
    directory, user_id = services_of(call).directory, call.path["id"]
    _ensure_above(call, user_id)
    given = call.body.get("password")
    if given is not None:
        problem = passwords.problem_of(given, username=users.read(directory, user_id)["username"])
        if problem is not None:
            raise BadField(pointer="/password", problem=problem)
    password = given or passwords.generated()
    users.set_password(directory, user_id, password)
    return Answer(200, {"password": password})
