//! The keys of `[[job]]`.

use std::time::Duration;

use super::DAY;
use crate::config::schema::{Kind, Section, Words, may, must};

/// `[[job]]`.
pub(in crate::config) static JOB: Section = Section {
    title: "[[job]]",
    keys: &[
        must("name", Kind::JobName, "In logs and on the command line."),
        must("doctype", Kind::Line, "HQ's DocType."),
        must("schedule", Kind::Cron, "sec min hour day month weekday, in the site's zone."),
        may("after", Kind::List(&Kind::Text), "Jobs whose run it waits for."),
        may("filters", Kind::Json, "Conditions at HQ; what stops matching is treated as gone."),
        may("page_size", Kind::Integer { least: 1, most: 10_000 }, "Records asked for at once, to start with.")
            .or("500"),
        may(
            "overlap",
            Kind::Duration { least: Duration::ZERO, most: DAY.saturating_mul(7) },
            "How late a transaction may become visible after the stamp it carries.",
        )
        .or("\"30m\""),
        must("table", Kind::LocalTable, "The local table."),
        must("key", Kind::OneOrMore(&Kind::Column), "The column or columns that identify a row."),
        may("create_table", Kind::Bool, "Make the table if it is not there.").or("false"),
        may("deletes", Kind::Word(&DELETES), "What happens to the row of a record gone at HQ.").or("\"delete\""),
        may("delete_limit", Kind::Table(&DELETE_LIMIT), "Above both at once nothing is deleted."),
        may("conflict", Kind::Word(&CONFLICT), "Who wins where both sides changed a record.").or("\"hq_wins\""),
        may("otherwise", Kind::Word(&OTHERWISE), "What decides where merge finds a field that both sides changed.")
            .or("\"hq_wins\""),
        may("local_modified", Kind::Column, "The column that says when the outlet last edited the row, in UTC."),
        may("reconcile", Kind::Cron, "When all of HQ is compared with all of the ledger, and repaired."),
        may(
            "reconcile_requests",
            Kind::Integer { least: 0, most: 1_000_000 },
            "Requests that a reconcile may spend on comparing values; names and stamps are compared in any case.",
        )
        .or("20"),
        must("fields", Kind::Fields("[job.fields]"), "local column = HQ field, or a table."),
        may("children", Kind::Tables(&CHILD), "A child table, replaced with its parent."),
        may("test", Kind::Tables(&TEST), "An example of the mapping."),
    ],
    aka: &[
        ("cron", "schedule"),
        ("interval", "schedule"),
        ("every", "schedule"),
        ("depends_on", "after"),
        ("needs", "after"),
        ("requires", "after"),
        ("filter", "filters"),
        ("where", "filters"),
        ("batch_size", "page_size"),
        ("limit", "page_size"),
        ("table_name", "table"),
        ("target_table", "table"),
        ("primary_key", "key"),
        ("keys", "key"),
        ("columns", "fields"),
        ("mapping", "fields"),
        ("map", "fields"),
        ("tests", "test"),
        ("child", "children"),
        ("child_tables", "children"),
        ("on_delete", "deletes"),
        ("delete", "deletes"),
        ("on_conflict", "conflict"),
    ],
};

static DELETES: Words = Words {
    what: "word for deletes",
    known: &["delete", "mark", "keep"],
    aka: &[("soft", "mark"), ("soft_delete", "mark"), ("hard", "delete"), ("remove", "delete"), ("ignore", "keep")],
};

/// What people write for the rules.
const RULES: [(&str, &str); 9] = [
    ("hq", "hq_wins"),
    ("remote_wins", "hq_wins"),
    ("server_wins", "hq_wins"),
    ("source_wins", "hq_wins"),
    ("local", "local_wins"),
    ("outlet_wins", "local_wins"),
    ("client_wins", "local_wins"),
    ("newest", "newest_wins"),
    ("last_write_wins", "newest_wins"),
];

static CONFLICT: Words =
    Words { what: "conflict rule", known: &["hq_wins", "local_wins", "newest_wins", "merge", "manual"], aka: &RULES };

static OTHERWISE: Words =
    Words { what: "rule for otherwise", known: &["hq_wins", "local_wins", "newest_wins", "manual"], aka: &RULES };

/// How much a run may delete.
pub(in crate::config) static DELETE_LIMIT: Section = Section {
    title: "delete_limit",
    keys: &[
        may("rows", Kind::Integer { least: 0, most: i64::MAX }, "Rows of one run.").or("20"),
        may("percent", Kind::Number { least: 0.0, most: 100.0 }, "Share of the rows from HQ, in percent.").or("5"),
    ],
    aka: &[("max_rows", "rows"), ("percentage", "percent")],
};

/// An entry of `fields` that is a table.
pub(in crate::config) static FIELD: Section = Section {
    title: "a field",
    keys: &[
        may("from", Kind::HqField, "The HQ field."),
        may("expr", Kind::Line, "A Jinja expression over HQ fields."),
        may("const", Kind::Literal, "A constant."),
        may("type", Kind::Word(&TYPE), "What the column stores.").or("\"text\""),
        may("scale", Kind::Integer { least: 0, most: 28 }, "A decimal's digits after the point."),
        may("trim", Kind::Bool, "Cut white space at both ends.").or("false"),
        may("max_length", Kind::Integer { least: 1, most: 1_000_000_000 }, "The longest text, in characters."),
        may("map", Kind::Literals, "HQ's text to the outlet's."),
        may("default", Kind::Literal, "For null, and for a text that map does not list."),
        may("lookup", Kind::Table(&LOOKUP), "Replace the value by another local table's."),
        may("owner", Kind::Word(&OWNER), "Who owns the column once the row is made.").or("\"hq\""),
        may("private", Kind::Bool, "The value is shown nowhere but in the column.").or("false"),
        may("conflict", Kind::Word(&CONFLICT), "Who wins where both sides changed this field."),
    ],
    aka: &[
        ("field", "from"),
        ("fieldname", "from"),
        ("hq_field", "from"),
        ("column", "from"),
        ("source", "from"),
        ("name", "from"),
        ("expression", "expr"),
        ("formula", "expr"),
        ("value", "const"),
        ("constant", "const"),
        ("precision", "scale"),
        ("digits", "scale"),
        ("length", "max_length"),
        ("maxlength", "max_length"),
        ("strip", "trim"),
        ("values", "map"),
        ("secret", "private"),
    ],
};

/// `type`.
pub(super) static TYPE: Words = Words {
    what: "type",
    known: &["text", "int", "float", "decimal", "bool", "date", "datetime", "time", "duration", "json"],
    aka: &[
        ("string", "text"),
        ("str", "text"),
        ("varchar", "text"),
        ("char", "text"),
        ("data", "text"),
        ("link", "text"),
        ("select", "text"),
        ("small_text", "text"),
        ("long_text", "text"),
        ("integer", "int"),
        ("bigint", "int"),
        ("number", "decimal"),
        ("numeric", "decimal"),
        ("currency", "decimal"),
        ("money", "decimal"),
        ("double", "float"),
        ("real", "float"),
        ("percent", "float"),
        ("boolean", "bool"),
        ("check", "bool"),
        ("timestamp", "datetime"),
        ("object", "json"),
    ],
};

static OWNER: Words = Words { what: "owner", known: &["hq", "once", "until_edited"], aka: &[] };

static LOOKUP: Section = Section {
    title: "lookup",
    keys: &[
        must("table", Kind::LocalTable, "The local table to look into."),
        must("match", Kind::Column, "The column that must equal HQ's value."),
        must("take", Kind::Column, "The column whose value is taken."),
    ],
    aka: &[
        ("column", "match"),
        ("on", "match"),
        ("where", "match"),
        ("select", "take"),
        ("value", "take"),
        ("get", "take"),
    ],
};

/// `[[job.children]]`.
pub(in crate::config) static CHILD: Section = Section {
    title: "[[job.children]]",
    keys: &[
        must("field", Kind::HqField, "The Table field at HQ."),
        must("table", Kind::LocalTable, "The local child table."),
        must("parent_key", Kind::Column, "The child column that holds the parent's key."),
        must("fields", Kind::Fields("[job.children.fields]"), "local column = HQ field, or a table."),
    ],
    aka: &[
        ("doctype", "field"),
        ("child_doctype", "field"),
        ("fieldname", "field"),
        ("parent", "parent_key"),
        ("foreign_key", "parent_key"),
        ("parent_column", "parent_key"),
        ("columns", "fields"),
    ],
};

static TEST: Section = Section {
    title: "[[job.test]]",
    keys: &[must("given", Kind::Record, "HQ's record."), must("expect", Kind::Record, "The columns it must give.")],
    aka: &[("input", "given"), ("record", "given"), ("expected", "expect"), ("output", "expect")],
};
