"""A menu of its own for each role, and the permission to see how the service is running."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "directory_0003"
down_revision = "directory_0002"

GRANTED = {"admin": ("operations.read",), "operator": ("operations.read",)}


def upgrade() -> None:
    exact = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    op.add_column("roles", sa.Column("menu", sa.Text().with_variant(exact, "mysql", "mariadb")))
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
