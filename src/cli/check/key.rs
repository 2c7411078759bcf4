//! Whether each record at HQ has a key of its own: two records of one key are one row too few, and one of them is parked.

use super::report::Report;
use crate::cli::Exit;
use crate::config::Job;
use crate::doctype::DocType;
use crate::mapping::Taken;
use crate::source::Meter;
use crate::source::frappe::Frappe;

/// Looks at the key: by HQ's word where that is enough, else HQ is asked for the values that most records share.
pub(super) async fn look(hq: &Frappe, job: &Job, doctype: &DocType, meter: &Meter, report: &mut Report) {
    let Some(fields) = job.mapping.key_fields() else {
        report.note(
            &job.name,
            "the key is put together from HQ's fields, so HQ cannot be asked whether it is unique; of two records of one \
             key the second is parked",
        );
        return;
    };
    let is_unique = |taken: &Taken<'_>| {
        let is_marked = doctype.field(taken.field).is_some_and(|field| field.is_unique);
        taken.field == "name" || doctype.named_by() == Some(taken.field) || is_marked
    };
    if fields.iter().any(is_unique) {
        return;
    }
    let names: Vec<String> = fields.iter().map(|taken| taken.field.to_owned()).collect();
    let shown = names.join(", ");
    match hq.most_shared(&job.doctype, &names, &job.filters, meter).await {
        Ok(None) => {
            report.ok(&job.name, format!("no two records share the key ({shown}), though HQ does not forbid it"))
        }
        Ok(Some(shared)) => {
            let is_private = fields.iter().any(|taken| taken.is_private);
            let value = if is_private { "(private)".to_owned() } else { shared.values.join(", ") };
            let message = format!(
                "{} records at HQ have the key {shown} = {value}: one row can be of one record only, the others would be \
                 parked; use key = \"name\", or more columns (HQ compares without case and accents)",
                shared.records
            );
            report.problem(&job.name, Exit::Blocked, message);
        }
        Err(_refused) => report.note(
            &job.name,
            format!(
                "HQ does not tell whether the key ({shown}) is unique; of two records of one key the second is parked"
            ),
        ),
    }
}
