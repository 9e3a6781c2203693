"""What is measured: one module a part, each with `cells()`, the lightest load first."""
