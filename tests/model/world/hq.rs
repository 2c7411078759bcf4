//! What happens at HQ.

use super::*;

impl World<'_> {
    pub(super) fn at_hq(&mut self, step: Step) {
        match step {
            Step::Insert(doctype, name) => {
                let (doctype, name) = (usize::from(doctype % 2), NAMES[usize::from(name) % NAMES.len()]);
                let record = self.new_record(name);
                if self.hq.insert(DOCTYPES[doctype], record).is_ok() {
                    self.oracle.changed(&self.jobs, doctype, name, true);
                }
            }
            Step::Update(doctype, who, mask) => {
                let fields = self.fields(mask);
                self.update(doctype, who, &fields);
            }
            Step::Parts(doctype, who, many) => {
                let parts = self.parts(many);
                self.update(doctype, who, &json!({"parts": parts}));
            }
            Step::Sold(doctype, who) => {
                let doctype_at = usize::from(doctype % 2);
                let Some(name) = self.pick(doctype_at, who) else { return };
                let is_sold = self.hq.get(DOCTYPES[doctype_at], &name).unwrap()["sold"] == 1;
                self.update(doctype, who, &json!({"sold": u8::from(!is_sold)}));
            }
            Step::Bad(doctype, who) => {
                let title = format!("{}{}", "x".repeat(LONGEST), self.serial());
                self.update(doctype, who, &json!({"title": title}));
            }
            Step::Bulk(doctype, mask, which) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let names = self.hq.names(DOCTYPES[doctype]);
                let picked: Vec<&String> =
                    (0..).zip(&names).filter(|(at, _)| which & (1 << (at % 8)) > 0).map(|(_, name)| name).collect();
                let wanted = |record: &serde_json::Map<String, Value>| {
                    picked.iter().any(|name| record["name"].as_str() == Some(name))
                };
                self.hq.bulk_stamp(DOCTYPES[doctype], wanted, fields).unwrap();
                for name in picked {
                    self.oracle.changed(&self.jobs, doctype, name, true);
                }
            }
            Step::LateUpdate(doctype, who, mask) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let Some(name) = self.pick(doctype, who) else { return };
                let late = self.hq.begin_late(DOCTYPES[doctype], Some(&name), fields);
                self.begin(late, doctype, name, false);
            }
            Step::LateInsert(doctype, name) => {
                let (doctype, name) = (usize::from(doctype % 2), NAMES[usize::from(name) % NAMES.len()]);
                let record = self.new_record(name);
                let late = self.hq.begin_late(DOCTYPES[doctype], None, record);
                self.begin(late, doctype, name.to_owned(), false);
            }
            Step::LateDelete(doctype, who) => {
                let doctype = usize::from(doctype % 2);
                let Some(name) = self.pick(doctype, who) else { return };
                let late = self.hq.begin_late_delete(DOCTYPES[doctype], &name);
                self.begin(late, doctype, name, true);
            }
            Step::Commit => self.commit(),
            Step::Delete(doctype, who) | Step::SilentDelete(doctype, who) => {
                let doctype = usize::from(doctype % 2);
                let Some(name) = self.pick(doctype, who) else { return };
                let now = self.hq.now();
                if matches!(step, Step::Delete(..)) {
                    self.hq.delete(DOCTYPES[doctype], &name).unwrap();
                    self.oracle.deleted(&self.jobs, doctype, &name, Some(now), true);
                } else {
                    self.hq.delete_without_trace(DOCTYPES[doctype], &name).unwrap();
                    self.oracle.deleted(&self.jobs, doctype, &name, None, false);
                }
            }
            Step::Remake(doctype, who) => {
                let doctype = usize::from(doctype % 2);
                let Some(name) = self.pick(doctype, who) else { return };
                self.at_hq(Step::Delete(u8::try_from(doctype).unwrap(), who));
                let record = self.new_record(&name);
                self.hq.insert(DOCTYPES[doctype], record).unwrap();
                self.oracle.changed(&self.jobs, doctype, &name, true);
            }
            Step::Rename(doctype, who, to) => {
                let (doctype, new) = (usize::from(doctype % 2), NAMES[usize::from(to) % NAMES.len()]);
                let Some(old) = self.pick(doctype, who) else { return };
                // What becomes of the outlet's own row that is in the way, or of one that it removed, is not settled.
                if [old.as_str(), new].iter().any(|name| self.oracle.is_edited_by_row(&self.jobs, doctype, name)) {
                    return;
                }
                if self.hq.rename(DOCTYPES[doctype], &old, new).is_ok() && old != new {
                    self.oracle.renamed(&self.jobs, doctype, &old, new);
                }
            }
            Step::Merge(doctype, from, into) => {
                let doctype = usize::from(doctype % 2);
                let (Some(from), Some(into)) = (self.pick(doctype, from), self.pick(doctype, into)) else { return };
                if from != into {
                    self.hq.merge(DOCTYPES[doctype], &from, &into).unwrap();
                    let now = self.hq.now();
                    self.oracle.deleted(&self.jobs, doctype, &from, Some(now), true);
                }
            }
            Step::Future(doctype, who, mask) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let Some(name) = self.pick(doctype, who) else { return };
                let stamp = (self.at() + TimeDelta::days(40)).format("%Y-%m-%d %H:%M:%S%.6f").to_string();
                self.hq.update_with_modified(DOCTYPES[doctype], &name, fields, Some(&stamp)).unwrap();
                self.oracle.changed(&self.jobs, doctype, &name, true);
            }
            Step::Unstamped(doctype, who, mask) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let Some(name) = self.pick(doctype, who) else { return };
                self.hq.update_with_modified(DOCTYPES[doctype], &name, fields, None).unwrap();
                self.oracle.changed(&self.jobs, doctype, &name, false);
            }
            Step::Silent(doctype, who, mask) => {
                let doctype = usize::from(doctype % 2);
                let fields = self.fields(mask);
                let Some(name) = self.pick(doctype, who) else { return };
                self.hq.update_silently(DOCTYPES[doctype], &name, fields).unwrap();
            }
            Step::SilentParts(doctype, who, many) => {
                let doctype = usize::from(doctype % 2);
                let parts = self.parts(many);
                let Some(name) = self.pick(doctype, who) else { return };
                self.hq.update_silently(DOCTYPES[doctype], &name, json!({"parts": parts})).unwrap();
            }
            Step::HideField(doctype) => self.hq.hide_field(MANAGER, DOCTYPES[usize::from(doctype % 2)], "phone"),
            Step::ShowField(doctype) => self.hq.show_field(MANAGER, DOCTYPES[usize::from(doctype % 2)], "phone"),
            Step::HideRows(doctype) | Step::ShowRows(doctype) => {
                self.is_blind[usize::from(doctype % 2)] = matches!(step, Step::HideRows(_));
                self.set_user();
            }
            Step::Between(doctype, who, mask) => self.between = Some((usize::from(doctype % 2), who, mask)),
            other => unreachable!("{other:?} is none of HQ's"),
        }
    }

    /// Gives the user the rights that are left; those of fields are given back.
    pub(super) fn set_user(&mut self) {
        let mut user = manager();
        for (doctype, _) in DOCTYPES.iter().zip(self.is_blind).filter(|(_, is_blind)| *is_blind) {
            user = user.only(doctype, "grade", "1");
        }
        self.hq.set_user(user);
    }

    fn update(&mut self, doctype: u8, who: u8, fields: &Value) {
        let doctype = usize::from(doctype % 2);
        let Some(name) = self.pick(doctype, who) else { return };
        self.hq.update(DOCTYPES[doctype], &name, fields.clone()).unwrap();
        self.oracle.changed(&self.jobs, doctype, &name, true);
    }

    fn begin(&mut self, late: Late, doctype: usize, name: String, is_delete: bool) {
        self.open.push(Open { late, doctype, name, is_delete, begun: self.at() });
    }

    pub(super) fn commit(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let Open { late, doctype, name, is_delete, begun } = self.open.remove(0);
        if late.commit().is_err() {
            return;
        }
        let is_seen = self.at() - begun <= LATEST;
        if is_delete {
            self.oracle.deleted(&self.jobs, doctype, &name, Some(begun), is_seen);
        } else {
            self.oracle.changed(&self.jobs, doctype, &name, is_seen);
        }
    }
}
