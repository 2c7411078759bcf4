//! Users of the site: who may read and write what.

use std::collections::{HashMap, HashSet};

use super::collation;
use super::doctype::{DocType, Field};
use super::row::{Column, Row};

/// A user with an API key; rights are added one by one.
#[derive(Debug, Clone)]
pub struct User {
    pub(super) email: String,
    pub(super) key: String,
    pub(super) secret: String,
    pub(super) is_manager: bool,
    /// The permlevels readable of each readable DocType.
    reads: HashMap<String, HashSet<u8>>,
    writes: HashSet<String>,
    /// User Permissions: of a DocType only rows whose field holds the value, or nothing (recording 1701).
    only: Vec<(String, String, String)>,
    pub(super) hidden: HashSet<(String, String)>,
    pub(super) forbidden: HashSet<String>,
    /// The token was taken away: every request is 401 from then on.
    pub(super) is_expired: bool,
}

impl User {
    /// A user with no role: may log in and nothing else (recording 810).
    pub fn new(email: &str, key: &str, secret: &str) -> Self {
        Self {
            email: email.to_owned(),
            key: key.to_owned(),
            secret: secret.to_owned(),
            is_manager: false,
            reads: HashMap::new(),
            writes: HashSet::new(),
            only: Vec::new(),
            hidden: HashSet::new(),
            forbidden: HashSet::new(),
            is_expired: false,
        }
    }

    /// A System Manager: may read and write everything, `Deleted Document` included.
    pub fn system_manager(email: &str, key: &str, secret: &str) -> Self {
        Self { is_manager: true, ..Self::new(email, key, secret) }
    }

    /// Lets the user read a DocType's fields of permlevel 0.
    pub fn may_read(mut self, doctype: &str) -> Self {
        self.reads.entry(doctype.to_owned()).or_default().insert(0);
        self
    }

    /// Lets the user read a DocType's fields of a further permlevel.
    pub fn may_read_level(mut self, doctype: &str, level: u8) -> Self {
        self.reads.entry(doctype.to_owned()).or_default().insert(level);
        self
    }

    /// Lets the user read, create, write and delete records of a DocType.
    pub fn may_write(self, doctype: &str) -> Self {
        let mut user = self.may_read(doctype);
        user.writes.insert(doctype.to_owned());
        user
    }

    /// A User Permission: of `doctype`, only records whose `field` is `value` exist for the user.
    pub fn only(mut self, doctype: &str, field: &str, value: &str) -> Self {
        self.only.push((doctype.to_owned(), field.to_owned(), value.to_owned()));
        self
    }

    /// Who asks without credentials.
    pub(super) fn guest() -> Self {
        Self::new("Guest", "", "")
    }

    pub(super) fn is_guest(&self) -> bool {
        self.email == "Guest"
    }

    pub(super) fn reads(&self, doctype: &str) -> bool {
        !self.forbidden.contains(doctype) && (self.is_manager || self.reads.contains_key(doctype))
    }

    pub(super) fn writes(&self, doctype: &str) -> bool {
        !self.forbidden.contains(doctype) && (self.is_manager || self.writes.contains(doctype))
    }

    /// Whether the user may know a field's values (recording 813).
    pub(super) fn sees(&self, doctype: &str, field: &Field) -> bool {
        let levels = || self.reads.get(doctype).is_some_and(|levels| levels.contains(&field.permlevel));
        !self.hidden.contains(&(doctype.to_owned(), field.fieldname.clone()))
            && (self.is_manager || field.permlevel == 0 || levels())
    }

    /// Whether User Permissions let the user know of a row.
    pub(super) fn knows(&self, doctype: &DocType, row: &Row) -> bool {
        self.barred(doctype, row).is_none()
    }

    /// The User Permission that keeps a row from the user, as (field, value held).
    pub(super) fn barred(&self, doctype: &DocType, row: &Row) -> Option<(&str, String)> {
        self.only.iter().filter(|(of, _, _)| *of == doctype.name).find_map(|(_, field, value)| {
            let held = Column::of(doctype, field).and_then(|column| row.text(column)).unwrap_or_default();
            let passes = held.is_empty() || collation::equal(held, value);
            (!passes).then(|| (field.as_str(), held.to_owned()))
        })
    }
}
