//! The site over HTTP: requests in, answers out, and the faults between.

mod answer;
mod broken;
mod document;
mod meta;
mod request;
mod route;
mod server;
mod wire;

pub use server::{Server, serve};
