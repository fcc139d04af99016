//! The platform's HTTP API: calls out, answers in, and what an answer means.

pub mod answer;
mod body;
pub mod client;
pub mod codes;
mod failure;
mod mask;
pub mod pages;
mod reply;
pub mod tls;
pub mod wire;
