//! What HQ tells about its DocTypes, to whoever may log in: their fields, which of those this user may read, their names, and
//! whether a field's values are unique.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::query::{Query, encode};
use super::{Frappe, decode, list};
use crate::doctype::DocType;
use crate::record::BadPage;
use crate::source::client::{Meter, Request};
use crate::source::error::Error;

#[derive(Deserialize)]
struct Docs {
    docs: Vec<DocType>,
}

/// Values that several records share, as far as they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The values of the fields asked about, as text.
    pub values: Vec<String>,
    /// How many records have them.
    pub records: u64,
}

impl Frappe {
    /// A DocType, custom fields included. Needs no administrator's role: v2 tells it to any user (recording 976), and so
    /// does the call that opens a form, on versions without v2 (recording 984).
    ///
    /// # Errors
    /// [`Error::Unknown`] where HQ has none of that name; all of [`Error`].
    pub async fn doctype(&self, name: &str, meter: &Meter) -> Result<DocType, Error> {
        let path = format!("/api/v2/doctype/{}/meta", encode(name));
        match self.get(&path, name, meter).await {
            Ok(answer) => return decode::value(&answer.body),
            Err(Error::Unknown { .. } | Error::Forbidden { .. } | Error::Refused { .. } | Error::Unreadable(_)) => {}
            Err(error) => return Err(error),
        }
        let path = format!("/api/method/frappe.desk.form.load.getdoctype?doctype={}", encode(name));
        let answer = self.get(&path, &format!("DocType {name}"), meter).await?;
        let docs: Docs = serde_json::from_str(&answer.body).map_err(|error| BadPage::Shape(error.to_string()))?;
        let of_doctype = docs.docs.into_iter().find(|found| found.name == name);
        of_doctype.ok_or_else(|| Error::Unknown { what: format!("DocType {name}") })
    }

    /// The DocType of the rows in the Table field `field` of `doctype`; asked once and remembered.
    ///
    /// # Errors
    /// [`Error::Unknown`] where there is no such Table field; all of [`Error`].
    pub async fn child_doctype(&self, doctype: &str, field: &str, meter: &Meter) -> Result<String, Error> {
        let key = (doctype.to_owned(), field.to_owned());
        let known = self.child_doctypes.lock().ok().and_then(|known| known.get(&key).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let described = self.doctype(doctype, meter).await?;
        let found = described.field(field).filter(|docfield| docfield.is_table());
        let child = found.and_then(|docfield| docfield.options.clone());
        let child = child.ok_or_else(|| Error::Unknown { what: format!("Table field {field} of {doctype}") })?;
        if let Ok(mut known) = self.child_doctypes.lock() {
            known.insert(key, child.clone());
        }
        Ok(child)
    }

    /// Which of `fields` this user may read; for a child DocType as the rows of a `(parent DocType, Table field)`. `None`
    /// where HQ does not tell.
    ///
    /// HQ leaves out in silence what is not to be read (recording 813), so one record shows it. Where there is none yet, a
    /// count beside the fields has a row all the same.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the user may not read the DocType at all; all of [`Error`].
    pub async fn readable(
        &self,
        doctype: &str,
        parent: Option<(&str, &str)>,
        fields: &[String],
        meter: &Meter,
    ) -> Result<Option<HashSet<String>>, Error> {
        let filters = parent.map(|(parenttype, parentfield)| {
            vec![
                serde_json::json!(["parenttype", "=", parenttype]),
                serde_json::json!(["parentfield", "=", parentfield]),
            ]
        });
        let query = Query {
            parent: parent.map(|(parenttype, _)| parenttype),
            filters: filters.unwrap_or_default(),
            order_by: "name asc",
            limit: 1,
            is_compact: false,
            ..list(doctype, fields)
        };
        if let Some(keys) = self.first_keys(&query, meter).await? {
            return Ok(Some(keys));
        }
        let counted: Vec<String> =
            std::iter::once("count(name) as n".to_owned()).chain(fields.iter().cloned()).collect();
        match self.first_keys(&Query { fields: &counted, ..query.clone() }, meter).await {
            Ok(keys) => Ok(keys),
            // A database that counts only by groups refuses it.
            Err(Error::Refused { .. } | Error::Broken { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The keys of the first row.
    async fn first_keys(&self, query: &Query<'_>, meter: &Meter) -> Result<Option<HashSet<String>>, Error> {
        let answer = self.client.send(&query.request(), meter).await?;
        let rows: Vec<serde_json::Map<String, Value>> = decode::value(&answer.body)?;
        Ok(rows.into_iter().next().map(|row| row.into_iter().map(|(key, _)| key).collect()))
    }

    /// The names of all DocTypes that have lists of their own.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the user is no System Manager (recordings 983 and 989); all of [`Error`].
    pub async fn doctype_names(&self, meter: &Meter) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let fields = ["name".to_owned()];
        let filters = vec![serde_json::json!(["istable", "=", 0]), serde_json::json!(["issingle", "=", 0])];
        let query =
            Query { filters, order_by: "name asc", is_compact: false, limit: MOST_NAMES, ..list("DocType", &fields) };
        let answer = self.client.send(&query.request(), meter).await?;
        let rows: Vec<Named> = decode::value(&answer.body)?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    /// The DocTypes that hold rows of this child DocType, each with its Table field; of many only the first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the user is no System Manager (recordings 986 and 987b); all of [`Error`].
    pub async fn holders(&self, child: &str, meter: &Meter) -> Result<Vec<(String, String)>, Error> {
        #[derive(Deserialize)]
        struct Holder {
            parent: String,
            fieldname: String,
        }
        let fields = ["parent", "fieldname"].map(str::to_owned);
        let filters = vec![
            serde_json::json!(["fieldtype", "in", ["Table", "Table MultiSelect"]]),
            serde_json::json!(["options", "=", child]),
        ];
        let query = Query {
            parent: Some("DocType"),
            filters,
            order_by: "parent asc, idx asc",
            is_compact: false,
            limit: 3,
            ..list("DocField", &fields)
        };
        let answer = self.client.send(&query.request(), meter).await?;
        let rows: Vec<Holder> = decode::value(&answer.body)?;
        Ok(rows.into_iter().map(|row| (row.parent, row.fieldname)).collect())
    }

    /// That this DocType is a child table, with a DocType that has it, as far as HQ tells this user.
    pub async fn child_table(&self, doctype: &str, meter: &Meter) -> Error {
        let holders = self.holders(doctype, meter).await.unwrap_or_default();
        Error::ChildTable { doctype: doctype.to_owned(), parent: holders.into_iter().next() }
    }

    /// The values that most records share in `fields` taken together, among those that match `filters`; `None` where none
    /// is shared. HQ counts by its collation, which takes no notice of case and accents (recording 205).
    ///
    /// # Errors
    /// [`Error::Refused`] where HQ's version does not group; all of [`Error`].
    pub async fn most_shared(
        &self,
        doctype: &str,
        fields: &[String],
        filters: &[Value],
        meter: &Meter,
    ) -> Result<Option<Shared>, Error> {
        let asked: Vec<String> = fields.iter().cloned().chain(["count(name) as n".to_owned()]).collect();
        let query = Query {
            filters: filters.to_vec(),
            order_by: "n desc",
            limit: 1,
            is_compact: false,
            ..list(doctype, &asked)
        };
        let mut request = query.request();
        append_group_by(&mut request, &fields.join(","))?;
        let answer = self.client.send(&request, meter).await?;
        let rows: Vec<serde_json::Map<String, Value>> = decode::value(&answer.body)?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let records = row.get("n").and_then(Value::as_u64).unwrap_or(0);
        let text = |field: &String| match row.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => "null".to_owned(),
            Some(other) => other.to_string(),
        };
        Ok((records > 1).then(|| Shared { values: fields.iter().map(text).collect(), records }))
    }
}

/// An HQ with every app installed has some two thousand.
const MOST_NAMES: usize = 5_000;

/// Adds `group_by` to a list's request, in its query or its body (recordings 1603, 1623).
fn append_group_by(request: &mut Request, fields: &str) -> Result<(), Error> {
    let Some(body) = &request.body else {
        request.path.push_str(&format!("&group_by={}", encode(fields)));
        return Ok(());
    };
    let mut body: Value = serde_json::from_str(body).map_err(|error| BadPage::Shape(error.to_string()))?;
    if let Some(object) = body.as_object_mut() {
        object.insert("group_by".to_owned(), fields.into());
    }
    request.body = Some(body.to_string());
    Ok(())
}
