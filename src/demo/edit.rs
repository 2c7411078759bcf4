//! Writes as Frappe does them, and as SQL does behind its back: what moves `modified`, what leaves a trace, and
//! what does neither.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::cell::{self, Cell};
use super::clock::{self, Stamp};
use super::doctype::DocType;
use super::records::Records;
use super::refusal::Refusal;
use super::row::{Parent, Row};

/// Who writes, and what the write does to `modified`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write<'a> {
    pub(super) user: &'a str,
    pub(super) touch: Touch,
}

/// What a write does to `modified`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Touch {
    /// A save: the record and all its child rows get this stamp (recording 734). `None` is SQL's NULL.
    At(Option<Stamp>),
    /// `update_modified=False`: nothing is stamped (recording 404).
    Silently,
    /// Data loaded with stamps and names of its own; the stamp is for what has none.
    Load(Stamp),
}

impl Records {
    /// Makes a record; gives its name.
    pub(super) fn insert(&mut self, doctype: &str, fields: &Map<String, Value>, write: Write) -> Result<Cell, Refusal> {
        let meta = Arc::clone(&self.table(doctype)?.doctype);
        let stamp = match write.touch {
            Touch::At(stamp) => stamp,
            Touch::Silently => Some(self.stamp()),
            Touch::Load(stamp) => match fields.get("modified") {
                Some(given) => given.as_str().and_then(clock::parse),
                None => Some(stamp),
            },
        };
        let name = match fields.get("name") {
            Some(Value::Number(number)) => Cell::Whole(number.as_i64().unwrap_or(0)),
            Some(Value::String(name)) if !name.is_empty() => Cell::Text(name.as_str().into()),
            _ => self.new_name(&meta, fields)?,
        };
        let creation = match (fields.get("creation").and_then(Value::as_str), write.touch) {
            (Some(given), Touch::Load(_)) => clock::parse(given),
            _ => stamp.or_else(|| Some(self.stamp())),
        };
        let owner: Arc<str> = match (fields.get("owner").and_then(Value::as_str), write.touch) {
            (Some(given), Touch::Load(_)) => given.into(),
            _ => write.user.into(),
        };
        let modified_by: Arc<str> = match (fields.get("modified_by").and_then(Value::as_str), write.touch) {
            (Some(given), Touch::Load(_)) => given.into(),
            _ => Arc::clone(&owner),
        };
        let mut row = Row {
            key: Row::key_of(&name),
            name: name.clone(),
            creation,
            modified: stamp,
            owner,
            modified_by,
            docstatus: fields.get("docstatus").map_or(0, cell::whole),
            idx: fields.get("idx").map_or(0, cell::whole),
            parent: None,
            cells: meta.fields.iter().map(|field| Cell::empty(field.kind())).collect(),
        };
        if !matches!(write.touch, Touch::Load(_)) {
            set_defaults(&meta, &mut row)?;
        }
        fill(&meta, &mut row, fields)?;
        let shown = cell::text(&name.to_json());
        self.table_mut(doctype)?.add(row).map_err(|_refused| duplicate(doctype, &shown))?;
        self.replace_children(&meta, &shown, fields, stamp, write)?;
        Ok(name)
    }

    /// Changes the fields sent and no others; a table field that is sent replaces its rows (recordings 930, 941).
    pub(super) fn update(
        &mut self,
        doctype: &str,
        name: &str,
        changes: &Map<String, Value>,
        write: Write,
    ) -> Result<(), Refusal> {
        let id = self.find(doctype, name)?;
        let table = self.table_mut(doctype)?;
        let meta = Arc::clone(&table.doctype);
        let mut trial = table.get(id).cloned().ok_or_else(|| Refusal::not_found(None))?;
        fill(&meta, &mut trial, changes)?;
        match write.touch {
            Touch::At(stamp) => trial.modified = stamp,
            Touch::Load(stamp) => trial.modified = Some(stamp),
            Touch::Silently => {}
        }
        if !matches!(write.touch, Touch::Silently) {
            trial.modified_by = write.user.into();
        }
        for (field, to) in [("docstatus", &mut trial.docstatus), ("idx", &mut trial.idx)] {
            if let Some(value) = changes.get(field) {
                *to = cell::whole(value);
            }
        }
        let stamp = trial.modified;
        let shown = cell::text(&trial.name.to_json());
        table.change(id, |row| *row = trial);
        self.replace_children(&meta, &shown, changes, stamp, write)?;
        if !matches!(write.touch, Touch::Silently) {
            self.touch_children(&meta, &shown, stamp, write.user)?;
        }
        Ok(())
    }

    fn replace_children(
        &mut self,
        meta: &DocType,
        parent: &str,
        fields: &Map<String, Value>,
        stamp: Option<Stamp>,
        write: Write,
    ) -> Result<(), Refusal> {
        for (field, child) in meta.tables() {
            let rows = match fields.get(field) {
                None => continue,
                Some(Value::Array(rows)) => rows.as_slice(),
                Some(_) => &[],
            };
            let child_meta = Arc::clone(&self.table(child)?.doctype);
            let table = self.table_mut(child)?;
            let old: Vec<Row> =
                table.children(&meta.name, parent, field).into_iter().filter_map(|id| table.remove(id)).collect();
            let home = Parent { name: parent.into(), doctype: meta.name.as_str().into(), field: field.into() };
            for (place, sent) in rows.iter().enumerate() {
                let Value::Object(sent) = sent else { continue };
                let given = sent.get("name").and_then(Value::as_str);
                let kept = old.iter().find(|row| given.is_some() && row.name.as_text() == given);
                // A row under a name HQ does not know is not stored (recording 943).
                if given.is_some() && kept.is_none() && !matches!(write.touch, Touch::Load(_)) && !old.is_empty() {
                    continue;
                }
                let name = Cell::Text(given.map_or_else(|| self.hash(), str::to_owned).into());
                let mut row = Row {
                    key: Row::key_of(&name),
                    name,
                    creation: kept.map_or(stamp, |row| row.creation),
                    modified: stamp,
                    owner: kept.map_or_else(|| write.user.into(), |row| Arc::clone(&row.owner)),
                    modified_by: write.user.into(),
                    docstatus: 0,
                    idx: i64::try_from(place).unwrap_or(0) + 1,
                    parent: Some(Box::new(home.clone())),
                    cells: child_meta.fields.iter().map(|field| Cell::empty(field.kind())).collect(),
                };
                if kept.is_none() && !matches!(write.touch, Touch::Load(_)) {
                    set_defaults(&child_meta, &mut row)?;
                }
                fill(&child_meta, &mut row, sent)?;
                let shown = cell::text(&row.name.to_json());
                self.table_mut(child)?.add(row).map_err(|_refused| duplicate(child, &shown))?;
            }
        }
        Ok(())
    }

    fn touch_children(
        &mut self,
        meta: &DocType,
        parent: &str,
        stamp: Option<Stamp>,
        user: &str,
    ) -> Result<(), Refusal> {
        for (field, child) in meta.tables() {
            let table = self.table_mut(child)?;
            for id in table.children(&meta.name, parent, field) {
                table.change(id, |row| (row.modified, row.modified_by) = (stamp, user.into()));
            }
        }
        Ok(())
    }
}

/// Sets the fields that were sent; unknown keys and the field the name comes from are ignored (recordings 849, 937).
fn fill(meta: &DocType, row: &mut Row, fields: &Map<String, Value>) -> Result<(), Refusal> {
    for (key, value) in fields {
        if let Some(place) = meta.place(key) {
            let cell = value_for(meta, place, value)?;
            row.set(place, cell);
        }
    }
    if let Some(place) = meta.named_by_place() {
        row.set(place, row.name.clone());
    }
    Ok(())
}

/// What a new record holds before anything sent: a field's default, a Select's first choice, the time (recording 910).
fn set_defaults(meta: &DocType, row: &mut Row) -> Result<(), Refusal> {
    for (place, field) in meta.fields.iter().enumerate() {
        let first_choice = || field.options.as_deref().and_then(|options| options.split('\n').next());
        let default = match (&field.default, field.fieldtype.as_str()) {
            (Some(default), _) => default.clone(),
            (None, "Select") => first_choice().unwrap_or_default().to_owned(),
            (None, "Time") => row.creation.map(clock::print).unwrap_or_default().split_off(11),
            (None, _) => continue,
        };
        let cell = value_for(meta, place, &Value::from(default))?;
        row.set(place, cell);
    }
    Ok(())
}

fn value_for(meta: &DocType, place: usize, value: &Value) -> Result<Cell, Refusal> {
    let Some(field) = meta.fields.get(place) else {
        return Ok(Cell::Null);
    };
    Cell::from_json(field.kind(), value).ok_or_else(|| {
        let kind = field.fieldtype.to_lowercase();
        let words = format!(
            "(1292, \"Incorrect {kind} value: '{}' for column `hqdb`.`tab{}`.`{}` at row 1\")",
            cell::text(value),
            meta.name,
            field.fieldname
        );
        Refusal::database("OperationalError", &words)
    })
}

/// A name that exists, case and accents aside (recordings 833, 834).
pub(super) fn duplicate(doctype: &str, name: &str) -> Refusal {
    let words =
        format!("('{doctype}', '{name}', IntegrityError(1062, \"Duplicate entry '{name}' for key 'PRIMARY'\"))");
    let mut refusal = Refusal::new(409, "frappe.exceptions.DuplicateEntryError").detail(&words);
    refusal.messages.push(json!({
        "message": format!("{doctype} <strong>{name}</strong> already exists"), "title": "Duplicate Name", "indicator": "red",
    }));
    refusal
}
