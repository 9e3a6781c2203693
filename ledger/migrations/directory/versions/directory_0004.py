"""Who may see proofs, and read the whole log."""

import sqlalchemy as sa
from alembic import op

revision = "directory_0004"
down_revision = "directory_0003"

GRANTED = {
    "admin": ("proofs.read", "log.read"),
    "operator": ("proofs.read",),
    "auditor": ("proofs.read", "log.read"),
    "customer": ("proofs.read",),
}


def upgrade() -> None:
    connection = op.get_bind()
    for role, permissions in GRANTED.items():
        (role_id,) = connection.execute(
            sa.text("SELECT id FROM roles WHERE builtin = 1 AND name = :name"), {"name": role}
        ).fetchone() or (None,)
        for permission in permissions if role_id else ():
            values = {"role_id": role_id, "permission": permission}
            has_it = sa.text("SELECT 1 FROM role_permissions WHERE role_id = :role_id AND permission = :permission")
            if connection.execute(has_it, values).fetchone() is None:
                insert = "INSERT INTO role_permissions (role_id, permission) VALUES (:role_id, :permission)"
                connection.execute(sa.text(insert), values)
