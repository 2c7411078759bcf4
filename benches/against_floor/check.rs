//! Whether the rows are right: a count and a checksum over every column, of what HQ holds and of what a table holds.
//!
//! The sum does not depend on the order, nor on how a database spells a value: decimals and seconds lose their trailing
//! zeros, times are in UTC. Both sides are computed in processes of their own, so that the bench stays small: a
//! process starts its life with the peak memory of the one that made it.

use std::fmt;
use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::data;
use crate::http::Client;
use crate::item::{self, Barcode, Item};

/// So many records were read from HQ at once, to be checked against.
const PAGE: usize = 2_500;

/// What a table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) rows: usize,
    hash: u128,
}

impl Sum {
    /// Takes in a row; `None` is null.
    pub(crate) fn add<'a>(&mut self, row: impl IntoIterator<Item = Option<&'a str>>) {
        let mut text = String::new();
        for value in row {
            text.push(if value.is_some() { '=' } else { '-' });
            text.push_str(value.unwrap_or_default());
            text.push('\0');
        }
        self.rows += 1;
        self.hash = self.hash.wrapping_add(xxh3_128(text.as_bytes()));
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of sum {:016x}", self.rows, self.hash >> 64)
    }
}

/// A decimal, or a time's seconds, without trailing zeros.
pub(crate) fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A float as Rust writes it.
pub(crate) fn float(number: f64) -> String {
    number.to_string()
}

/// How HQ was read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) sum: Sum,
    /// Seconds that answers took to come, and to be unpacked, the reader's own work left out.
    pub(crate) asking: f64,
    pub(crate) bytes: usize,
}

/// Reads all of HQ's items, compressed on the way or not.
pub(crate) fn read(url: &str, is_compressed: bool) -> Result<Reading> {
    let doctype = data::doctype(0);
    let mut client = Client::connect(url, is_compressed)?;
    let (mut sum, mut after, mut asking) = (Sum::default(), None, 0.0);
    let (mut body, mut utc) = (Vec::new(), String::new());
    loop {
        let began = Instant::now();
        client.get(&item::path(&doctype, after.as_ref(), PAGE), &mut body)?;
        asking += began.elapsed().as_secs_f64();
        let rows = item::rows(&body)?;
        item::each(rows, |item: Item<'_>, _text| {
            item::to_utc(item.counted_at, &mut utc)?;
            let Item { code, title, category, description, colour, launched_on, .. } = &item;
            let numbers = [float(item.weight), item.shelf_life.to_string(), item.disabled.to_string()];
            let [weight, shelf_life, disabled] = numbers.each_ref().map(|text| Some(text.as_str()));
            sum.add([
                Some(&*code.0),
                Some(&*title.0),
                Some(&*category.0),
                Some(&*description.0),
                colour.as_ref().map(|text| &*text.0),
                Some(trimmed(item.rate.get())),
                Some(trimmed(item.cost.get())),
                weight,
                shelf_life,
                disabled,
                Some(launched_on),
                Some(trimmed(&utc)),
            ]);
            Ok(())
        })?;
        after = match item::last(rows) {
            Some(last) => Some(last),
            None => return Ok(Reading { sum, asking, bytes: client.bytes }),
        };
    }
}

/// Reads all child rows.
pub(crate) fn read_children(url: &str) -> Result<Sum> {
    let (mut client, mut sum, mut body) = (Client::connect(url, false)?, Sum::default(), Vec::new());
    client.post(item::LIST, &item::children_of(&data::doctype(0), None), &mut body)?;
    item::each(item::rows(&body)?, |child: Barcode<'_>, _text| {
        let (idx, packs) = (child.idx.to_string(), child.packs.to_string());
        sum.add([Some(&*child.parent.0), Some(&idx), Some(&*child.barcode.0), Some(&packs)]);
        Ok(())
    })?;
    Ok(sum)
}
