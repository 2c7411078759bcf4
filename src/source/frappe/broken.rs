//! Paging by offset, for the one who is to see that it loses records ([`crate::breakage`]).

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::query::Query;
use super::{Fetched, Frappe, in_any_order};
use crate::record::{Fields, Mark, Stamp};
use crate::source::client::Meter;
use crate::source::error::Error;
use crate::source::page_size::PageSize;

/// How many records were read so far, by client and DocType.
static READ: LazyLock<Mutex<HashMap<(usize, String), usize>>> = LazyLock::new(Mutex::default);

impl Frappe {
    pub(super) async fn by_offset(
        &self,
        query: Query<'_>,
        from: Option<&Mark>,
        fields: &Fields,
        size: &mut PageSize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let key = (std::ptr::from_ref(self).addr(), query.doctype.to_owned());
        let is_first = from.is_none_or(|from| from.modified == Stamp::never());
        let known = READ.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or_default();
        let offset = if is_first { 0 } else { known };
        // As `limit_start` would, which is in no query of ours.
        let asking = |limit| (Query { limit: offset + limit, ..query.clone() }, limit);
        let mut fetched = self.ask(&asking, fields, &in_any_order, size, meter).await?;
        let names: Vec<String> = fetched.page.marks().iter().skip(offset).map(|mark| mark.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        READ.lock().unwrap_or_else(PoisonError::into_inner).insert(key, offset + names.len());
        fetched.page = fetched.page.only(&names);
        Ok(fetched)
    }
}
