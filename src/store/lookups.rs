//! Values that are replaced by a column of another local table.

use std::collections::HashMap;

use crate::mapping::{Answers, Wanted};
use crate::row::Cell;

use super::Store;
use super::batch::{Batch, among};
use super::bind::{Bind, canonical};
use super::catalog::Kind;
use super::connection::Connection;
use super::error::Error;
use super::table::{Lookup, Table, TableColumn};
use super::tx::PageTx;

impl Store {
    /// As [`PageTx::lookups`], outside of any page.
    ///
    /// # Errors
    /// As [`PageTx::lookups`].
    pub async fn lookups(&self, table: &Table, child: Option<usize>, wanted: &[Wanted]) -> Result<Answers, Error> {
        answers(&mut self.pools.reader().await?, table, child, wanted).await
    }
}

impl PageTx {
    /// Answers what a page wants of other tables; one query for each lookup. `child` is the position of the child table
    /// whose lookups are meant, `None` the parent's.
    ///
    /// The cells are of the looked-up column's own type. Of several rows that match, the one with the lowest value is
    /// taken, so that the answer is always the same.
    ///
    /// # Errors
    /// [`Error::Schema`] where the table to look into does not exist (yet).
    pub async fn lookups(&mut self, table: &Table, child: Option<usize>, wanted: &[Wanted]) -> Result<Answers, Error> {
        answers(&mut self.connection, table, child, wanted).await
    }
}

async fn answers(
    connection: &mut Connection,
    table: &Table,
    child: Option<usize>,
    wanted: &[Wanted],
) -> Result<Answers, Error> {
    let lookups = match child {
        None => table.lookups.as_slice(),
        Some(at) => table.children.get(at).map_or(&[][..], |child| child.lookups.as_slice()),
    };
    let mut answers = vec![HashMap::new(); lookups.len()];
    for want in wanted {
        let (Some(lookup), Some(answer)) = (lookups.get(want.lookup), answers.get_mut(want.lookup)) else {
            continue;
        };
        look_up(connection, lookup, &want.values, answer).await?;
    }
    Ok(Answers(answers))
}

async fn look_up(
    connection: &mut Connection,
    lookup: &Lookup,
    values: &[String],
    answer: &mut HashMap<String, Cell>,
) -> Result<(), Error> {
    let Some((matched, taken)) = &lookup.stored else {
        return Err(Error::Schema(vec![format!(
            "The lookup table {0} does not exist. If another job makes it, list that job in `after`; if not, create it.",
            lookup.table
        )]));
    };
    let kind = connection.kind();
    let take = TableColumn {
        name: lookup.take_column.clone(),
        ty: taken.kind.best_type(),
        stored: taken.clone(),
        is_hq: false,
    };
    let mut asked: HashMap<String, Vec<&String>> = HashMap::with_capacity(values.len());
    let mut cells = Vec::with_capacity(values.len());
    for value in values {
        if let Some(spelt) = canonical(kind, value, matched) {
            asked.entry(spelt).or_default().push(value);
            cells.push(Cell::Text(value.as_str().into()));
        }
    }
    let mut batch = Batch::new(1);
    batch.extend(cells.iter().map(|cell| Bind::cell(kind, cell, matched)));
    for (rows, binds) in batch.cut_lists(kind) {
        let mut sql = connection.sql("SELECT ");
        sql.reads([lookup.match_column.as_str(), lookup.take_column.as_str()]);
        sql.push(" FROM ").name(&lookup.table).push(" WHERE ");
        among(&mut sql, &[(&lookup.match_column, matched)], rows);
        match taken.kind {
            // PostgreSQL has no order for json; the text's will do.
            Kind::Json | Kind::Other => sql.push(" ORDER BY 2"),
            Kind::Text
            | Kind::Int
            | Kind::Float
            | Kind::Decimal
            | Kind::Bool
            | Kind::Date
            | Kind::Datetime
            | Kind::Time => sql.push(" ORDER BY ").name(&lookup.table).push(".").name(&lookup.take_column),
        };
        for line in connection.fetch(sql, binds).await? {
            let spelt = line.text(0).and_then(|text| canonical(kind, text, matched));
            for value in spelt.and_then(|spelt| asked.get(&spelt)).into_iter().flatten() {
                answer.entry((*value).clone()).or_insert_with(|| take.cell(line.text(1)));
            }
        }
    }
    Ok(())
}
