//! Statement texts: put together from literals, quoted names, placeholders and type names the database itself printed.
//!
//! Invariant: no value and no unquoted outside text ever becomes part of a statement. [`Sql`] takes nothing else, and
//! this is the only module that tells sqlx a text is safe.

use std::fmt::Write as _;

use sqlx::AssertSqlSafe;

use crate::config::DatabaseKind;

/// A statement in the making.
#[derive(Debug, Clone)]
pub(super) struct Sql {
    kind: DatabaseKind,
    text: String,
    binds: usize,
}

/// A type as the database prints it, without its length: casts to `varchar(3)` would cut in silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeName(String);

impl TypeName {
    /// Takes what the database's catalog printed, and nothing from anywhere else.
    pub(super) fn from_catalog(text: String) -> Self {
        Self(text)
    }
}

impl From<&'static str> for TypeName {
    fn from(text: &'static str) -> Self {
        Self(text.to_owned())
    }
}

impl Sql {
    /// Starts a statement; `?` in a literal is the next placeholder on every database.
    pub(super) fn new(kind: DatabaseKind, literal: &'static str) -> Self {
        let mut sql = Self { kind, text: String::with_capacity(256), binds: 0 };
        sql.push(literal);
        sql
    }

    /// The database the statement is for.
    pub(super) fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// Adds a literal; `?` in it is the next placeholder.
    pub(super) fn push(&mut self, literal: &'static str) -> &mut Self {
        match self.kind {
            DatabaseKind::Sqlite | DatabaseKind::Mysql => self.text.push_str(literal),
            DatabaseKind::Postgres => {
                let mut parts = literal.split('?');
                self.text.push_str(parts.next().unwrap_or_default());
                for part in parts {
                    self.binds += 1;
                    self.number(self.binds);
                    self.text.push_str(part);
                }
            }
        }
        self
    }

    /// Adds a name of a table, column or index, quoted.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        push_quoted(&mut self.text, self.kind, name);
        self
    }

    /// Adds a type that the catalog printed.
    pub(super) fn type_name(&mut self, name: &TypeName) -> &mut Self {
        self.text.push_str(&name.0);
        self
    }

    /// Adds a number: a length, or the place of a column.
    pub(super) fn count(&mut self, number: usize) -> &mut Self {
        // Writing to a String cannot fail.
        write!(self.text, "{number}").unwrap_or_default();
        self
    }

    fn number(&mut self, number: usize) {
        self.text.push('$');
        self.count(number);
    }

    /// Adds each of `items`, with `separator` between them.
    pub(super) fn list<T>(
        &mut self,
        separator: &'static str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.push(separator);
            }
            each(self, item);
        }
        self
    }

    /// Adds quoted names with commas between them.
    pub(super) fn names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> &mut Self {
        self.list(", ", names, |sql, name| {
            sql.name(name);
        })
    }

    /// Adds a column to a select list, in the form that [`super::connection::Connection::fetch`] reads: text, except
    /// on SQLite, where a cast to text would cost a float its last digits.
    pub(super) fn read(&mut self, column: &str) -> &mut Self {
        match self.kind {
            DatabaseKind::Sqlite => self.name(column),
            DatabaseKind::Postgres => self.name(column).push("::text"),
            DatabaseKind::Mysql => self.push("CAST(").name(column).push(" AS CHAR)"),
        }
    }

    /// Adds columns to a select list.
    pub(super) fn reads<'n>(&mut self, columns: impl IntoIterator<Item = &'n str>) -> &mut Self {
        self.list(", ", columns, |sql, column| {
            sql.read(column);
        })
    }

    /// Adds columns of texts and whole numbers as one JSON list of all rows, for [`super::line::Line::unpacked`]: SQLite's
    /// rows come one by one from another thread, which takes longer than finding them.
    pub(super) fn packed<'n>(&mut self, columns: impl IntoIterator<Item = &'n str>) -> &mut Self {
        self.push("json_group_array(json_array(").names(columns).push("))")
    }

    /// Adds `(?, …), (?, …)`.
    pub(super) fn tuples(&mut self, rows: usize, width: usize) -> &mut Self {
        match self.kind {
            DatabaseKind::Sqlite | DatabaseKind::Mysql => {
                // A page has thousands of them.
                let row = format!("({})", vec!["?"; width].join(", "));
                self.text.reserve(rows * (row.len() + 2));
                self.list(", ", 0..rows, |sql, _| sql.text.push_str(&row))
            }
            DatabaseKind::Postgres => self.list(", ", 0..rows, |sql, _| {
                sql.push("(").list(", ", 0..width, |sql, _| {
                    sql.push("?");
                });
                sql.push(")");
            }),
        }
    }

    /// Adds `UNNEST(?::text[], …) AS milkrun_page(c0, …)`: rows bound as one array of each of `types`.
    pub(super) fn unnest(&mut self, types: impl Iterator<Item = &'static str>) -> &mut Self {
        let mut width = 0;
        self.push("UNNEST(").list(", ", types, |sql, ty| {
            sql.push("?::").push(ty);
            width += 1;
        });
        self.push(") AS milkrun_page(").list(", ", 0..width, |sql, at| {
            sql.push("c").count(at);
        });
        self.push(")")
    }

    /// The text, for a message to the operator.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The statement for sqlx.
    pub(super) fn into_safe(self) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.text)
    }
}

/// Quotes a name, whatever is in it. The one place where names become SQL.
fn push_quoted(text: &mut String, kind: DatabaseKind, name: &str) {
    let mark = match kind {
        DatabaseKind::Sqlite | DatabaseKind::Postgres => '"',
        DatabaseKind::Mysql => '`',
    };
    text.push(mark);
    for (at, part) in name.split(mark).enumerate() {
        if at > 0 {
            text.extend([mark, mark]);
        }
        text.push_str(part);
    }
    text.push(mark);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(kind: DatabaseKind, name: &str) -> String {
        Sql::new(kind, "").name(name).text().to_owned()
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quote(DatabaseKind::Sqlite, r#"a"; DROP TABLE b"#), r#""a""; DROP TABLE b""#);
        assert_eq!(quote(DatabaseKind::Postgres, r#"a"b"#), r#""a""b""#);
        assert_eq!(quote(DatabaseKind::Mysql, "a`b"), "`a``b`");
    }

    #[test]
    fn a_question_mark_in_a_name_is_no_placeholder() {
        let mut sql = Sql::new(DatabaseKind::Postgres, "SELECT ? FROM ");
        sql.name("a?b").push(" WHERE c = ?");
        assert_eq!(sql.text(), r#"SELECT $1 FROM "a?b" WHERE c = $2"#);
    }
}
