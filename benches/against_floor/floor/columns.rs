//! A page as columns, for databases that take whole columns at once.

use std::borrow::Cow;

use anyhow::Result;
use xxhash_rust::xxh3::xxh3_64;

use crate::item::{self, Item};

/// The columns of the rows read so far; texts are borrowed from the pages where they can be.
#[derive(Debug, Default)]
pub(super) struct Columns<'a> {
    pub(super) code: Vec<Cow<'a, str>>,
    pub(super) title: Vec<Cow<'a, str>>,
    pub(super) category: Vec<Cow<'a, str>>,
    pub(super) description: Vec<Cow<'a, str>>,
    pub(super) colour: Vec<Option<Cow<'a, str>>>,
    pub(super) rate: Vec<&'a str>,
    pub(super) cost: Vec<&'a str>,
    pub(super) weight: Vec<f64>,
    pub(super) shelf_life: Vec<i64>,
    pub(super) disabled: Vec<bool>,
    pub(super) launched_on: Vec<&'a str>,
    /// As HQ writes it; the database turns it into UTC.
    pub(super) counted_at: Vec<&'a str>,
    pub(super) modified: Vec<&'a str>,
    pub(super) hash: Vec<i64>,
    pub(super) base: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    pub(super) fn read(body: &'a [u8], has_base: bool) -> Result<Self> {
        let mut columns = Self::default();
        item::each(item::rows(body)?, |item: Item<'a>, text| {
            let values = item.values(text);
            columns.hash.push(xxh3_64(values.as_bytes()).cast_signed());
            columns.base.push(has_base.then_some(values));
            columns.code.push(item.code.0);
            columns.title.push(item.title.0);
            columns.category.push(item.category.0);
            columns.description.push(item.description.0);
            columns.colour.push(item.colour.map(|colour| colour.0));
            columns.rate.push(item.rate.get());
            columns.cost.push(item.cost.get());
            columns.weight.push(item.weight);
            columns.shelf_life.push(item.shelf_life);
            columns.disabled.push(item.disabled != 0);
            columns.launched_on.push(item.launched_on);
            columns.counted_at.push(item.counted_at);
            columns.modified.push(item.modified);
            Ok(())
        })?;
        Ok(columns)
    }
}
