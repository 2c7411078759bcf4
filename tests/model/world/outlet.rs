//! What happens at the outlet.

use super::*;

impl World<'_> {
    pub(super) async fn at_outlet(&mut self, job: usize, step: Step) {
        let now = self.at();
        let n = self.serial();
        let rows = self.local.rows(job).await;
        let pick = |who: u8| {
            let living: Vec<&String> = rows.iter().filter(|(_, row)| !row.is_marked).map(|(key, _)| key).collect();
            (!living.is_empty()).then(|| living[usize::from(who) % living.len()].clone())
        };
        let local = |column: usize| if column == PRICE { format!("{n}.17") } else { format!("L-{n}") };
        match step {
            Step::Edit(_, who, column) | Step::PutBack(_, who, column) => {
                let column = usize::from(column) % COLUMNS.len();
                let Some(key) = pick(who) else { return };
                let value = match step {
                    Step::Edit(..) => Some(local(column)),
                    _ => match self.oracle.base(job, &key) {
                        Some(base) => base.columns[column].clone(),
                        None => return,
                    },
                };
                let moment = now.format("%Y-%m-%d %H:%M:%S%.6f");
                let zone = if self.is_postgres() { "+00" } else { "" };
                self.local.edit(job, &key, column, value.as_deref(), &format!("{moment}{zone}")).await;
                self.oracle.edited(job, &key, |state| {
                    state.touched = Some(now);
                    if let Some(row) = &mut state.row {
                        row.columns[column].clone_from(&value);
                    }
                });
            }
            Step::Own(_, who) | Step::Once(_, who) => {
                let Some(key) = pick(who) else { return };
                let (column, value) = (if matches!(step, Step::Own(..)) { "note" } else { "shelf" }, format!("O-{n}"));
                self.local.set(job, &key, column, &value).await;
                self.oracle.edited(job, &key, |state| {
                    if let Some(row) = &mut state.row {
                        let cell = if column == "note" { &mut row.own } else { &mut row.once };
                        *cell = Some(value.clone());
                    }
                });
            }
            Step::InsertOwn(_) | Step::InsertKey(..) => {
                let key = match step {
                    Step::InsertKey(_, name) => NAMES[usize::from(name) % NAMES.len()].to_owned(),
                    _ => format!("OWN-{n}"),
                };
                if rows.contains_key(&key) || self.oracle.is_renamed(self.jobs[job].doctype, &key) {
                    return;
                }
                let columns = [0, 1, 2, 3].map(|column| Some(local(column)));
                let row = Row { columns, own: Some(format!("O-{n}")), ..Row::default() };
                self.local.insert(job, &key, &row).await;
                self.oracle.edited(job, &key, |state| {
                    (state.row, state.touched) = (Some(row.clone()), None);
                });
            }
            Step::DeleteRow(_, who) => {
                let Some(key) = pick(who).filter(|key| !self.oracle.is_renamed(self.jobs[job].doctype, key)) else {
                    return;
                };
                self.local.delete(job, &key).await;
                self.oracle.edited(job, &key, |state| (state.row, state.touched) = (None, None));
            }
            other => unreachable!("{other:?} is none of the outlet's"),
        }
    }
}
