//! The admin port: `/livez`, `/readyz` and `/metrics`.
