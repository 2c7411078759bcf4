//! What HQ tells about its DocTypes (recordings 976, 976b, 984).

use serde_json::{Value, json};

use super::super::doctype::{DocType, Naming};

/// A DocType's description; HQ gives it to anybody (recording 978b).
pub(super) fn describe(doctype: &DocType) -> Value {
    // Recording 976b: no rule at all is by hash.
    let autoname = match &doctype.naming {
        Naming::Field(field) => Some(format!("field:{field}")),
        Naming::Series(prefix) => Some(format!("{prefix}.#####")),
        Naming::Hash => None,
        Naming::Prompt => Some("prompt".to_owned()),
        Naming::Autoincrement => Some("autoincrement".to_owned()),
    };
    let fields: Vec<Value> = doctype
        .fields
        .iter()
        .enumerate()
        .map(|(place, field)| {
            let mut described = json!({
                "doctype": "DocField", "name": format!("{place:010x}"), "docstatus": 0, "parent": doctype.name,
                "parentfield": "fields", "parenttype": "DocType", "idx": place + 1, "fieldname": field.fieldname,
                "label": field.label(), "fieldtype": field.fieldtype, "hidden": 0, "reqd": u8::from(field.reqd),
                "unique": u8::from(field.unique), "permlevel": field.permlevel, "length": field.length, "read_only": 0,
                "precision": field.precision, "is_virtual": u8::from(field.is_virtual),
            });
            if let Value::Object(map) = &mut described {
                map.extend(field.options.as_ref().map(|options| ("options".to_owned(), options.as_str().into())));
                map.extend(field.default.as_ref().map(|default| ("default".to_owned(), default.as_str().into())));
            }
            described
        })
        .collect();
    let mut described = json!({
        "doctype": "DocType", "name": doctype.name, "docstatus": 0, "idx": 0,
        "issingle": u8::from(doctype.is_single), "is_tree": u8::from(doctype.is_tree),
        "istable": u8::from(doctype.is_child), "module": "Core", "sort_field": "modified", "sort_order": "DESC",
        "is_submittable": u8::from(doctype.is_submittable), "custom": 1, "is_virtual": 0, "fields": fields,
    });
    if let (Value::Object(map), Some(autoname)) = (&mut described, autoname) {
        map.insert("autoname".to_owned(), autoname.into());
    }
    described
}
