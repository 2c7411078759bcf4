//! The text of `sync.toml` as a tree with positions, and what is wrong with it as TOML.
//!
//! Reading goes on after a mistake: the statement at fault is mended as its writer probably meant it (`guess`), or left out
//! where nobody can tell, so that everything else that is wrong with the file is found in the same go.

mod draft;
mod foreign;
mod guess;
mod header;
mod headless;
mod inline;
mod merge;
mod misspelt;
mod number;
mod plain;
mod reading;
mod scan;
mod text;
mod tree;
mod value;

pub(super) use header::name as header_name;
pub(super) use merge::mark as merge_mark;
pub(super) use misspelt::titles;
pub(super) use reading::read;
pub(super) use scan::key as key_length;
pub(super) use tree::{Entry, Node, Shape};
