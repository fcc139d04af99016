//! The platform's HTTP API: calls out, answers in, and what an answer means.

pub mod answer;
pub mod client;
pub mod codes;
pub mod tls;
pub mod wire;
