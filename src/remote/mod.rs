//! The platform's HTTP API: calls out, answers in, and what an answer means.

mod address;
pub mod answer;
mod body;
mod certificate;
pub mod client;
pub mod codes;
pub mod exchange;
mod failure;
mod https;
pub(crate) mod mask;
pub mod pages;
pub mod pem;
pub mod reply;
pub mod tls;
pub mod wire;
