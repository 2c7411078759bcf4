//! One test binary, one module per promise.

#[cfg(test)]
mod contract;
