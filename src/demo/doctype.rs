//! DocTypes and their fields: what a site's records look like.

use std::collections::HashMap;

/// A DocType: the name, fields and naming rule of one kind of record.
#[derive(Debug, Clone)]
pub struct DocType {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    pub(super) naming: Naming,
    /// A child DocType: its rows live in a table field of a parent.
    pub(super) is_child: bool,
    /// One document in place of a list.
    pub(super) is_single: bool,
    /// Its records form a tree.
    pub(super) is_tree: bool,
    /// Its records are submitted and cancelled.
    pub(super) is_submittable: bool,
    places: HashMap<String, usize>,
}

/// How a DocType names new records; a name the client sends is ignored except for `Prompt` (recordings 912-916).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// By the value of a field, as ERPNext names Items by `item_code`.
    Field(String),
    /// A prefix and a running number of five digits.
    Series(String),
    /// Ten random hexadecimal digits.
    Hash,
    /// The `name` that was sent.
    Prompt,
    /// A running number, which is a JSON number in answers (recordings 917, 918).
    Autoincrement,
}

/// One field of a DocType.
#[derive(Debug, Clone)]
pub struct Field {
    pub(super) fieldname: String,
    pub(super) fieldtype: String,
    pub(super) options: Option<String>,
    pub(super) permlevel: u8,
    pub(super) reqd: bool,
    pub(super) unique: bool,
    pub(super) default: Option<String>,
    pub(super) length: u32,
    pub(super) precision: String,
    pub(super) is_virtual: bool,
    label: Option<String>,
}

/// How a field's values are stored and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Check,
    Real,
    Date,
    Datetime,
    /// Child rows.
    Table,
    /// No value at all: a section or column break.
    Layout,
}

impl DocType {
    /// A DocType without fields, named by hash.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fields: Vec::new(),
            naming: Naming::Hash,
            is_child: false,
            is_single: false,
            is_tree: false,
            is_submittable: false,
            places: HashMap::new(),
        }
    }

    /// A child DocType without fields.
    pub fn child(name: &str) -> Self {
        Self { is_child: true, ..Self::new(name) }
    }

    /// Makes it one document in place of a list, which cannot be listed (recording 1112).
    pub fn single(mut self) -> Self {
        self.is_single = true;
        self
    }

    /// Makes its records a tree, as HQ describes it (recording 976d).
    pub fn tree(mut self) -> Self {
        self.is_tree = true;
        self
    }

    /// Has its records submitted and cancelled, as HQ describes it.
    pub fn submittable(mut self) -> Self {
        self.is_submittable = true;
        self
    }

    /// Sets how new records are named.
    pub fn named_by(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// Adds a field.
    pub fn field(mut self, field: Field) -> Self {
        self.places.insert(field.fieldname.clone(), self.fields.len());
        self.fields.push(field);
        self
    }

    /// Adds plain fields given as (fieldname, fieldtype).
    pub fn fields<'a>(self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        fields.into_iter().fold(self, |doctype, (name, kind)| doctype.field(Field::new(name, kind)))
    }

    pub(super) fn place(&self, fieldname: &str) -> Option<usize> {
        self.places.get(fieldname).copied()
    }

    pub(super) fn get(&self, fieldname: &str) -> Option<&Field> {
        self.place(fieldname).and_then(|place| self.fields.get(place))
    }

    /// The place of the field new records are named by.
    pub(super) fn named_by_place(&self) -> Option<usize> {
        match &self.naming {
            Naming::Field(field) => self.place(field),
            Naming::Series(_) | Naming::Hash | Naming::Prompt | Naming::Autoincrement => None,
        }
    }

    /// The table fields with the child DocType each holds.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .filter(|field| field.kind() == Kind::Table)
            .filter_map(|field| Some((field.fieldname.as_str(), field.options.as_deref()?)))
    }
}

impl Field {
    /// A field of permlevel 0; `fieldtype` is a Frappe field type such as `Data` or `Currency`.
    pub fn new(fieldname: &str, fieldtype: &str) -> Self {
        Self {
            fieldname: fieldname.to_owned(),
            fieldtype: fieldtype.to_owned(),
            options: None,
            permlevel: 0,
            reqd: false,
            unique: false,
            default: None,
            length: 0,
            precision: String::new(),
            is_virtual: false,
            label: None,
        }
    }

    /// A link to a record of another DocType.
    pub fn link(fieldname: &str, doctype: &str) -> Self {
        Self::new(fieldname, "Link").options(doctype)
    }

    /// A table of child rows.
    pub fn table(fieldname: &str, child: &str) -> Self {
        Self::new(fieldname, "Table").options(child)
    }

    /// Sets the options: the linked DocType, or the choices of a Select one a line.
    pub fn options(mut self, options: &str) -> Self {
        self.options = Some(options.to_owned());
        self
    }

    /// Sets the permission level a user needs beyond reading the DocType (recording 813).
    pub fn permlevel(mut self, level: u8) -> Self {
        self.permlevel = level;
        self
    }

    /// Makes the field mandatory on create (recording 830).
    pub fn required(mut self) -> Self {
        self.reqd = true;
        self
    }

    /// Makes the field's values unique (recording 998).
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Sets the value a new record gets when none is sent.
    pub fn default(mut self, value: &str) -> Self {
        self.default = Some(value.to_owned());
        self
    }

    /// Sets a length of its own, in characters.
    pub fn length(mut self, length: u32) -> Self {
        self.length = length;
        self
    }

    /// Sets how many digits after the point the form shows.
    pub fn precision(mut self, digits: u32) -> Self {
        self.precision = digits.to_string();
        self
    }

    /// Makes it a field that is computed when a form is opened, and that no list has.
    pub fn computed(mut self) -> Self {
        self.is_virtual = true;
        self
    }

    /// Sets the label that the form shows.
    pub fn labelled(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// The label HQ shows: its own, or the fieldname in words.
    pub(super) fn label(&self) -> String {
        if let Some(label) = &self.label {
            return label.clone();
        }
        self.fieldname
            .split('_')
            .map(|word| {
                let mut letters = word.chars();
                letters
                    .next()
                    .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
                    .unwrap_or_default()
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    pub(super) fn kind(&self) -> Kind {
        match self.fieldtype.as_str() {
            "Int" | "Long Int" => Kind::Whole,
            "Check" => Kind::Check,
            "Currency" | "Float" | "Percent" | "Rating" => Kind::Real,
            "Date" => Kind::Date,
            "Datetime" => Kind::Datetime,
            "Table" | "Table MultiSelect" => Kind::Table,
            "Section Break" | "Column Break" | "Tab Break" | "HTML" | "Button" | "Heading" | "Fold" | "Image" => {
                Kind::Layout
            }
            _ => Kind::Text,
        }
    }
}

/// The DocType whose records are the DocTypes.
pub(super) const DOCTYPE: &str = "DocType";

/// The child DocType whose rows are the fields of DocTypes (recordings 986 and 987).
const DOCFIELD: &str = "DocField";

/// The DocTypes every site has: where deletes and renames leave their traces.
pub(super) fn built_in() -> [DocType; 4] {
    [
        DocType::child(DOCFIELD).fields([
            ("fieldname", "Data"),
            ("fieldtype", "Select"),
            ("options", "Small Text"),
            ("permlevel", "Int"),
            ("reqd", "Check"),
        ]),
        // The list of all DocTypes, which only an administrator may see (recordings 989b and 989c).
        DocType::new(DOCTYPE)
            .named_by(Naming::Prompt)
            .fields([("istable", "Check"), ("issingle", "Check"), ("is_submittable", "Check"), ("autoname", "Data")])
            .field(Field::table("fields", DOCFIELD)),
        DocType::new("Deleted Document").fields([
            ("deleted_name", "Data"),
            ("deleted_doctype", "Data"),
            ("restored", "Check"),
            ("new_name", "Read Only"),
            ("data", "Code"),
        ]),
        DocType::new("Comment").fields([
            ("comment_type", "Select"),
            ("comment_email", "Data"),
            ("reference_doctype", "Data"),
            ("reference_name", "Data"),
            ("content", "HTML Editor"),
        ]),
    ]
}
