//! From Frappe's envelope to a page.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::{BadPage, Fields, Page};
use crate::source::Error;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, alias = "message")]
    data: Option<&'a RawValue>,
}

/// Reads the list in `body`; `/api/resource` answers under `data`, methods under `message` (recordings 101 and 520).
pub(super) fn page(body: &str, fields: &Fields) -> Result<Page, Error> {
    Page::decode_member(Arc::from(body), &["data", "message"], fields).map_err(|bad| match bad {
        BadPage::Damaged(why) => Error::Unreadable(format!("its JSON is damaged ({why})")),
        bad => bad.into(),
    })
}

/// The JSON text of what `body` carries.
pub(super) fn content(body: &str) -> Result<&str, Error> {
    let envelope: Envelope<'_> =
        serde_json::from_str(body).map_err(|error| Error::Unreadable(format!("its JSON is damaged ({error})")))?;
    match envelope.data {
        Some(data) => Ok(data.get()),
        None => Err(BadPage::Shape("it has neither `data` nor `message`".to_owned()).into()),
    }
}

/// Reads what `body` carries as `T`.
pub(super) fn value<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Error> {
    serde_json::from_str(content(body)?).map_err(|error| BadPage::Shape(error.to_string()).into())
}
