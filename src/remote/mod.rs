//! The platform's HTTP API: requests, answers and their meaning.

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
