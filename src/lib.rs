//! milkrun keeps every outlet in step with its HQ.

pub mod demo;
