//! Single documents: read, created, changed and deleted over HTTP, as the user who asks may.

use serde_json::{Map, Value, json};

use super::super::cell;
use super::super::clock;
use super::super::doctype::{DocType, Field, Kind, Naming};
use super::super::edit::{Touch, Write};
use super::super::query::Args;
use super::super::records::Records;
use super::super::refusal::Refusal;
use super::super::user::User;

/// How long a text of type Data may be (recording 852).
const DATA_LENGTH: usize = 140;

/// Whether nulls are told or left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    /// `frappe.client.get` (recording 1615).
    Kept,
    /// `/api/resource/X/N` (recording 501).
    LeftOut,
}

/// Reads a document. A missing one is 404 even for who may read nothing (recording 823).
pub(super) fn read(records: &Records, user: &User, doctype: &str, name: &str, nulls: Nulls) -> Result<Value, Refusal> {
    let row = records.row(doctype, name)?;
    let table = records.table(doctype)?;
    let meta = &table.doctype;
    let owner = row.parent.as_ref().map_or(doctype, |parent| &*parent.doctype);
    if !user.reads(owner) {
        let email = &user.email;
        return Err(Refusal::new(403, "frappe.exceptions.PermissionError").noted(&format!(
            "User <strong>{email}</strong> does not have doctype access via role permission for document \
             <strong>{doctype}</strong><br>User <strong>{email}</strong> does not have access to this document"
        )));
    }
    if let Some((field, held)) = user.barred(meta, row) {
        let linked = meta.get(field).and_then(|field| field.options.clone()).unwrap_or_default();
        let label = meta.get(field).map(Field::label).unwrap_or_default();
        return Err(Refusal::new(403, "frappe.exceptions.PermissionError").noted(&format!(
            "You are not allowed to access this DocType record because it is linked to {linked} '{held}' in field \
             {label}<br>User <strong>{}</strong> does not have access to this document: {doctype} - {name}",
            user.email
        )));
    }
    let mut document = records.document(doctype, name)?;
    veil(user, meta, &mut document, nulls);
    for (field, child) in meta.tables() {
        let child = &records.table(child)?.doctype;
        if let Some(Value::Array(rows)) = document.get_mut(field) {
            for row in rows.iter_mut().filter_map(Value::as_object_mut) {
                veil(user, child, row, nulls);
            }
        }
    }
    Ok(Value::Object(document))
}

/// Blanks what the user may not see: a number becomes 0 instead of going (recordings 518b, 814).
fn veil(user: &User, meta: &DocType, document: &mut Map<String, Value>, nulls: Nulls) {
    for field in meta.fields.iter().filter(|field| !user.sees(&meta.name, field)) {
        if let Some(value) = document.get_mut(&field.fieldname) {
            *value = match field.kind() {
                Kind::Real => json!(0.0),
                Kind::Whole | Kind::Check => json!(0),
                Kind::Text | Kind::Date | Kind::Datetime | Kind::Table | Kind::Layout => Value::Null,
            };
        }
    }
    if nulls == Nulls::LeftOut {
        document.retain(|_, value| !value.is_null());
    }
}

/// Creates a document (recordings 910-921); posting to an unknown DocType is 500 (recording 821).
pub(super) fn create(records: &mut Records, user: &User, doctype: &str, args: &Args) -> Result<Value, Refusal> {
    let Ok(table) = records.table(doctype) else {
        let module = doctype.to_lowercase().replace(' ', "_");
        return Err(Refusal::new(500, "ImportError").detail(&format!(
            "Module import failed for {doctype}, the DocType you're trying to open might be deleted.<br> Error: No module \
             named 'frappe.core.doctype.{module}'"
        )));
    };
    let meta = table.doctype.clone();
    if !user.writes(doctype) {
        return Err(no_write(user, doctype, "None", "create"));
    }
    let mut fields = sent(args)?;
    for key in ["creation", "modified", "owner", "modified_by"] {
        fields.shift_remove(key);
    }
    if meta.naming != Naming::Prompt {
        fields.shift_remove("name");
    }
    check(records, user, &meta, &mut fields, None)?;
    let stamp = records.stamp();
    let name = records.insert(doctype, &fields, Write { user: &user.email, touch: Touch::At(Some(stamp)) })?;
    written(records, doctype, &cell::text(&name.to_json()), true)
}

/// Changes a document (recordings 930-945).
pub(super) fn update(
    records: &mut Records,
    user: &User,
    doctype: &str,
    name: &str,
    args: &Args,
) -> Result<Value, Refusal> {
    let row = records.row(doctype, name)?;
    let meta = records.table(doctype)?.doctype.clone();
    if !user.writes(doctype) {
        return Err(no_write(user, doctype, name, "write"));
    }
    let mut changes = sent(args)?;
    if let Some(other) = changes.shift_remove("name").map(|name| cell::text(&name)).filter(|other| other != name) {
        records.find(doctype, &other)?;
    }
    let held = row.modified.map(clock::print).unwrap_or_default();
    if let Some(basis) = changes.shift_remove("modified").map(|value| cell::text(&value))
        && basis != held
    {
        return Err(Refusal::thrown(
            417,
            "TimestampMismatchError",
            &format!(
                "Error: Document has been modified after you have opened it ({held}, {basis}). Please refresh to get the \
                 latest document."
            ),
        ));
    }
    check(records, user, &meta, &mut changes, Some(name))?;
    let stamp = records.stamp();
    records.update(doctype, name, &changes, Write { user: &user.email, touch: Touch::At(Some(stamp)) })?;
    written(records, doctype, name, false)
}

/// What a write answers: the document, with nothing hidden from who wrote it (recording 816).
fn written(records: &Records, doctype: &str, name: &str, is_new: bool) -> Result<Value, Refusal> {
    let mut document = records.document(doctype, name)?;
    document.retain(|_, value| !value.is_null());
    for rows in document.values_mut().filter_map(Value::as_array_mut) {
        for row in rows.iter_mut().filter_map(Value::as_object_mut) {
            row.retain(|_, value| !value.is_null());
            if is_new {
                // Recording 910.
                row.insert("__unsaved".to_owned(), 1.into());
            }
        }
    }
    Ok(Value::Object(document))
}

/// Deletes a document that nothing links to (recordings 701, 702, 710).
pub(super) fn delete(records: &mut Records, user: &User, doctype: &str, name: &str) -> Result<(), Refusal> {
    if records.find(doctype, name).is_err() {
        return Err(Refusal::not_found(None));
    }
    if !user.writes(doctype) {
        let words = format!("User not allowed to delete {doctype}: {name}");
        let refusal = Refusal::new(403, "frappe.exceptions.PermissionError").detail(&words);
        let access =
            format!("User <strong>{}</strong> does not have access to this document: {doctype} - {name}", user.email);
        return Err(refusal.noted(&access).shown(&words));
    }
    if let Some((of, id, _)) = records.links_to(doctype, name).into_iter().next() {
        let by = records.table(&of)?.get(id).map(|row| cell::text(&row.name.to_json())).unwrap_or_default();
        let words = format!(
            "Cannot delete or cancel because {doctype} <a href=\"/app/Form/{doctype}/{name}\">{name}</a> is linked with {of} \
             <a href=\"/app/Form/{of}/{by}\">{by}</a> "
        );
        return Err(Refusal::thrown(417, "LinkExistsError", &words));
    }
    let stamp = records.stamp();
    records.delete(doctype, name, &user.email, Some(stamp))
}

/// The fields of a write: the body, or a form's `data` (recordings 919, 920).
fn sent(args: &Args) -> Result<Map<String, Value>, Refusal> {
    match args.get("data") {
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|error| Refusal::bad_json(&format!("Expecting value: {error}")))
        }
        _ => Ok(args.clone()),
    }
}

fn no_write(user: &User, doctype: &str, name: &str, right: &str) -> Refusal {
    Refusal::new(403, "frappe.exceptions.PermissionError")
        .noted(&format!(
            "User <strong>{}</strong> does not have access to this document: {doctype} - {name}",
            user.email
        ))
        .error_message(format!("Insufficient Permission for {doctype} (<strong>{right}</strong>)"))
}

/// What Frappe checks of the values sent (recordings 816, 830-832, 852, 854, 998).
fn check(
    records: &Records,
    user: &User,
    meta: &DocType,
    fields: &mut Map<String, Value>,
    name: Option<&str>,
) -> Result<(), Refusal> {
    let doctype = &meta.name;
    let shown = name.map_or_else(|| fields.get("item_code").map(cell::text).unwrap_or_default(), str::to_owned);
    for field in &meta.fields {
        let text = fields.get(&field.fieldname).map(cell::text).unwrap_or_default();
        if name.is_none() && field.reqd && text.is_empty() && field.default.is_none() {
            let mut refusal = Refusal::new(417, "frappe.exceptions.MandatoryError");
            refusal.detail = format!("[{doctype}, {shown}]: {}", field.fieldname);
            return Err(refusal.noted(&format!("Error: Value missing for {doctype}: {}", field.label())));
        }
        if !user.sees(doctype, field) {
            fields.shift_remove(&field.fieldname);
        } else if !text.is_empty() {
            check_value(records, meta, field, &text, &shown, name)?;
        }
    }
    Ok(())
}

fn check_value(
    records: &Records,
    meta: &DocType,
    field: &Field,
    text: &str,
    shown: &str,
    name: Option<&str>,
) -> Result<(), Refusal> {
    let options = field.options.as_deref().unwrap_or_default();
    let too_long = |bound: &str| {
        Refusal::thrown(
            417,
            "CharacterLengthExceededError",
            &format!(
                "{} {shown}: '{}' ({text}) will get truncated, as max characters allowed is {bound}",
                meta.name,
                field.label()
            ),
        )
    };
    match field.fieldtype.as_str() {
        "Link" if records.table(options).is_ok_and(|table| table.named(text).is_none()) => {
            Err(Refusal::thrown(417, "LinkValidationError", &format!("Could not find {}: {text}", field.label())))
        }
        "Select" if !options.lines().any(|choice| choice == text) => {
            let choices: Vec<String> = options.lines().map(|choice| format!("\"{choice}\"")).collect();
            let words = format!(" {} cannot be \"{text}\". It should be one of {}", field.label(), choices.join(", "));
            Err(Refusal::thrown(417, "ValidationError", &words))
        }
        "Data" if text.chars().count() > DATA_LENGTH => Err(too_long("140")),
        "Int" if cell::whole(&Value::from(text)) > i64::from(i32::MAX) => Err(too_long("2147483647")),
        _ if field.unique && !matches!(&meta.naming, Naming::Field(by) if *by == field.fieldname) => {
            let table = records.table(&meta.name)?;
            let column = super::super::row::Column::of(meta, &field.fieldname);
            let taken = table
                .in_name_order(std::ops::Bound::Unbounded)
                .filter_map(|id| table.get(id))
                .any(|row| column.and_then(|column| row.text(column)) == Some(text) && row.name.as_text() != name);
            let words = format!("{} must be unique", field.label());
            if taken { Err(Refusal::thrown(417, "UniqueValidationError", &words)) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}
