//! Records that go: deleted, renamed or merged, and the traces this leaves or does not leave.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::cell::{self, Cell};
use super::clock::Stamp;
use super::doctype::Kind;
use super::edit::{Touch, Write, duplicate};
use super::records::Records;
use super::refusal::Refusal;
use super::row::{Column, Row};

impl Records {
    /// Takes a record and its child rows away; with a trace, a `Deleted Document` holds all of it (recording 704).
    pub(super) fn delete(
        &mut self,
        doctype: &str,
        name: &str,
        user: &str,
        trace: Option<Stamp>,
    ) -> Result<(), Refusal> {
        let document = self.document(doctype, name)?;
        let shown = document.get("name").map(cell::text).unwrap_or_default();
        let meta = Arc::clone(&self.table(doctype)?.doctype);
        for (field, child) in meta.tables() {
            let table = self.table_mut(child)?;
            for id in table.children(doctype, &shown, field) {
                table.remove(id);
            }
        }
        let id = self.find(doctype, name)?;
        self.table_mut(doctype)?.remove(id);
        if let Some(stamp) = trace {
            let row = json!({
                "deleted_doctype": doctype, "deleted_name": shown, "restored": 0,
                "data": sorted(&Value::Object(document)),
            });
            self.insert_built_in("Deleted Document", &row, user, stamp)?;
        }
        Ok(())
    }

    /// Renames a record: links to it follow, `modified` moves nowhere, a Comment is left (recordings 721-725).
    pub(super) fn rename(&mut self, doctype: &str, old: &str, new: &str, user: &str) -> Result<(), Refusal> {
        let id = self.find(doctype, old)?;
        if self.table(doctype)?.named(new).is_some_and(|taken| taken != id) {
            return Err(duplicate(doctype, new));
        }
        let meta = Arc::clone(&self.table(doctype)?.doctype);
        let autoname = meta.named_by_place();
        self.table_mut(doctype)?.change(id, |row| {
            row.name = Cell::Text(new.into());
            row.key = Row::key_of(&row.name);
            if let Some(place) = autoname {
                row.set(place, Cell::Text(new.into()));
            }
        });
        for (field, child) in meta.tables() {
            let table = self.table_mut(child)?;
            for id in table.children(doctype, old, field) {
                table.change(id, |row| {
                    if let Some(parent) = &mut row.parent {
                        parent.name = new.into();
                    }
                });
            }
        }
        self.relink(doctype, old, new)?;
        self.comment(doctype, new, &format!("renamed from <strong>{old}</strong> to <strong>{new}</strong>"), user)
    }

    /// Merges one record into another: links follow silently, the merged one leaves a tombstone (recordings 726-729).
    pub(super) fn merge(&mut self, doctype: &str, from: &str, into: &str, user: &str) -> Result<(), Refusal> {
        self.find(doctype, into)?;
        self.comment(doctype, into, &format!("merged <strong>{from}</strong> into <strong>{into}</strong>"), user)?;
        self.relink(doctype, from, into)?;
        let stamp = self.stamp();
        self.delete(doctype, from, user, Some(stamp))
    }

    fn comment(&mut self, doctype: &str, name: &str, content: &str, user: &str) -> Result<(), Refusal> {
        let stamp = self.stamp();
        let row = json!({
            "comment_type": "Edit", "comment_email": user, "reference_doctype": doctype, "reference_name": name,
            "content": content,
        });
        self.insert_built_in("Comment", &row, user, stamp)
    }

    fn insert_built_in(&mut self, doctype: &str, row: &Value, user: &str, stamp: Stamp) -> Result<(), Refusal> {
        let Value::Object(fields) = row else {
            return Ok(());
        };
        self.insert(doctype, fields, Write { user, touch: Touch::At(Some(stamp)) }).map(drop)
    }

    /// Points every link to `old` at `new`, moving no `modified` (recordings 722, 729).
    fn relink(&mut self, doctype: &str, old: &str, new: &str) -> Result<(), Refusal> {
        for (of, id, place) in self.links_to(doctype, old) {
            self.table_mut(&of)?.change(id, |row| row.set(place, Cell::Text(new.into())));
        }
        Ok(())
    }

    /// Every link to a record, as (DocType, row, place of the field).
    pub(super) fn links_to(&self, doctype: &str, name: &str) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        for table in self.tables() {
            let links = table.doctype.fields.iter().enumerate();
            let links =
                links.filter(|(_, field)| field.fieldtype == "Link" && field.options.as_deref() == Some(doctype));
            for (place, _) in links {
                let ids = table.in_name_order(std::ops::Bound::Unbounded);
                let linked = ids.filter(|id| {
                    table.get(*id).and_then(|row| row.text(Column::Field(place, Kind::Text))) == Some(name)
                });
                found.extend(linked.map(|id| (table.doctype.name.clone(), id, place)));
            }
        }
        found
    }
}

/// JSON text with sorted keys and an indent of one, as `Deleted Document` keeps it (recording 704).
fn sorted(value: &Value) -> String {
    fn order(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                keys.into_iter()
                    .filter_map(|key| Some((key.clone(), order(map.get(key)?))))
                    .collect::<Map<_, _>>()
                    .into()
            }
            Value::Array(items) => items.iter().map(order).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    let mut out = Vec::new();
    let mut writer =
        serde_json::Serializer::with_formatter(&mut out, serde_json::ser::PrettyFormatter::with_indent(b" "));
    match serde::Serialize::serialize(&order(value), &mut writer) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => String::new(),
    }
}
