//! Everything the site's database holds: tables, users, and the clock that stamps writes.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::cell::Cell;
use super::clock::{Clock, Stamp};
use super::doctype::{self, DocType, Naming};
use super::edit::{Touch, Write};
use super::refusal::Refusal;
use super::row::Row;
use super::table::{RowId, Table};
use super::user::User;

/// The content of a site.
#[derive(Debug)]
pub(super) struct Records {
    tables: BTreeMap<String, Table>,
    pub(super) users: Vec<User>,
    pub(super) clock: Clock,
    names_given: u64,
}

impl Records {
    pub(super) fn new(zone: Tz) -> Self {
        let mut records = Self { tables: BTreeMap::new(), users: Vec::new(), clock: Clock::real(zone), names_given: 0 };
        doctype::built_in().into_iter().for_each(|doctype| records.define(doctype));
        records
    }

    /// Adds a DocType, empty, and a record of it to the list of DocTypes.
    pub(super) fn define(&mut self, doctype: DocType) {
        let fields: Vec<Value> = doctype
            .fields
            .iter()
            .map(|field| {
                json!({"fieldname": field.fieldname, "fieldtype": field.fieldtype, "options": field.options,
                    "permlevel": field.permlevel, "reqd": u8::from(field.reqd)})
            })
            .collect();
        let listed = super::site::object(json!({
            "name": doctype.name, "istable": u8::from(doctype.is_child), "issingle": u8::from(doctype.is_single),
            "is_submittable": u8::from(doctype.is_submittable), "fields": fields,
        }));
        self.tables.insert(doctype.name.clone(), Table::new(doctype));
        // Stamped in the past, so that no DocType moves a clock that stands still. Defined anew it is listed already.
        let write = Write { user: "Administrator", touch: Touch::Load(0) };
        self.insert(doctype::DOCTYPE, &listed, write).ok();
    }

    /// The table of a DocType (recording 820).
    pub(super) fn table(&self, doctype: &str) -> Result<&Table, Refusal> {
        let missing = || Refusal::not_found(Some(format!("DocType {doctype} not found")));
        self.tables.get(doctype).ok_or_else(missing)
    }

    pub(super) fn table_mut(&mut self, doctype: &str) -> Result<&mut Table, Refusal> {
        let missing = || Refusal::not_found(Some(format!("DocType {doctype} not found")));
        self.tables.get_mut(doctype).ok_or_else(missing)
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.values()
    }

    /// The place of a record (recording 822).
    pub(super) fn find(&self, doctype: &str, name: &str) -> Result<RowId, Refusal> {
        let missing = || Refusal::not_found(Some(format!("{doctype} {name} not found")));
        self.table(doctype)?.named(name).ok_or_else(missing)
    }

    pub(super) fn row(&self, doctype: &str, name: &str) -> Result<&Row, Refusal> {
        let id = self.find(doctype, name)?;
        let missing = || Refusal::not_found(Some(format!("{doctype} {name} not found")));
        self.table(doctype)?.get(id).ok_or_else(missing)
    }

    /// A stamp for a write done now.
    pub(super) fn stamp(&mut self) -> Stamp {
        self.clock.stamp()
    }

    /// A name for a new record, by the DocType's rule.
    pub(super) fn new_name(&mut self, doctype: &DocType, fields: &Map<String, Value>) -> Result<Cell, Refusal> {
        let given = |field: &str| {
            let text = fields.get(field).map(super::cell::text).unwrap_or_default();
            let missing = || Refusal::thrown(417, "ValidationError", &format!("{field} is required"));
            (!text.is_empty()).then(|| Cell::Text(text.into())).ok_or_else(missing)
        };
        match &doctype.naming {
            Naming::Field(field) => given(field),
            Naming::Prompt => given("name"),
            Naming::Hash => Ok(Cell::Text(self.hash().into())),
            Naming::Series(prefix) => {
                let number = self.next_number(doctype)?;
                Ok(Cell::Text(format!("{prefix}{number:05}").into()))
            }
            Naming::Autoincrement => Ok(Cell::Whole(self.next_number(doctype)?)),
        }
    }

    fn next_number(&mut self, doctype: &DocType) -> Result<i64, Refusal> {
        let table = self.table_mut(&doctype.name)?;
        table.counter += 1;
        Ok(table.counter)
    }

    /// Ten hexadecimal digits, never the same twice on a site (`SplitMix64` of a counter).
    pub(super) fn hash(&mut self) -> String {
        self.names_given = self.names_given.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.names_given;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        format!("{:010x}", (z ^ (z >> 31)) >> 24)
    }

    /// A record with its child rows, as a single GET shows it to somebody who may see all of it (recording 501).
    pub(super) fn document(&self, doctype: &str, name: &str) -> Result<Map<String, Value>, Refusal> {
        let table = self.table(doctype)?;
        let mut map = self.row(doctype, name)?.to_map(&table.doctype);
        map.insert("doctype".to_owned(), doctype.into());
        let name = map.get("name").map(super::cell::text).unwrap_or_default();
        for (field, child) in table.doctype.tables() {
            let children = self.table(child)?;
            let rows = children.children(doctype, &name, field).into_iter().filter_map(|id| {
                let mut map = children.get(id)?.to_map(&children.doctype);
                map.insert("doctype".to_owned(), child.into());
                Some(Value::Object(map))
            });
            map.insert(field.to_owned(), rows.collect());
        }
        Ok(map)
    }
}
