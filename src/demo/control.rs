//! What a test scripts at HQ besides records: rights, faults, hooks and limits; and what HQ saw of requests.

use super::fault::{Fault, When};
use super::front::{Line, Maintenance, RateLimit, Request, Transport};
use super::site::Site;
use super::user::User;

impl Site {
    /// Takes a field from a user: it silently vanishes from lists (recording 813).
    pub fn hide_field(&self, email: &str, doctype: &str, field: &str) {
        self.each_user(email, |user| {
            user.hidden.insert((doctype.to_owned(), field.to_owned()));
        });
    }

    /// Gives a hidden field back.
    pub fn show_field(&self, email: &str, doctype: &str, field: &str) {
        self.each_user(email, |user| {
            user.hidden.remove(&(doctype.to_owned(), field.to_owned()));
        });
    }

    /// Takes a DocType from a user: 403 from then on (recording 810).
    pub fn forbid(&self, email: &str, doctype: &str) {
        self.each_user(email, |user| {
            user.forbidden.insert(doctype.to_owned());
        });
    }

    /// Gives a forbidden DocType back.
    pub fn allow(&self, email: &str, doctype: &str) {
        self.each_user(email, |user| {
            user.forbidden.remove(doctype);
        });
    }

    /// Replaces a user, rights and User Permissions included.
    pub fn set_user(&self, user: User) {
        let mut records = self.records();
        records.users.retain(|known| known.email != user.email);
        records.users.push(user);
    }

    pub(super) fn each_user(&self, email: &str, change: impl Fn(&mut User)) {
        self.records().users.iter_mut().filter(|user| user.email == email).for_each(change);
    }

    /// Scripts a fault for the next request that no earlier fault takes.
    pub fn fault(&self, fault: Fault) {
        self.fault_when(When::any(), fault);
    }

    /// Scripts a fault for one request of a kind.
    pub fn fault_when(&self, when: When, fault: Fault) {
        self.front().faults.push(when, fault, false);
    }

    /// Scripts a fault for all requests of a kind until [`Self::heal`].
    pub fn fault_always(&self, when: When, fault: Fault) {
        self.front().faults.push(when, fault, true);
    }

    /// Forgets all faults; tokens that expired work again.
    pub fn heal(&self) {
        self.front().faults.clear();
        self.records().users.iter_mut().for_each(|user| user.is_expired = false);
    }

    /// How many scripted faults are still waiting.
    pub fn faults_left(&self) -> usize {
        self.front().faults.len()
    }

    /// Runs `edit` once, after the n-th list of `doctype` (from 1, from now) was read and before it is sent: the edit
    /// falls between that page and the next.
    pub fn after_list(&self, doctype: &str, n: usize, edit: impl FnOnce(&Self) + Send + 'static) {
        let (wanted, mut left, mut edit) = (doctype.to_owned(), n.max(1), Some(edit));
        self.front().hooks.push(Box::new(move |site, doctype| {
            if doctype == wanted {
                left -= 1;
                if left == 0
                    && let Some(edit) = edit.take()
                {
                    edit(site);
                }
            }
            left > 0
        }));
    }

    /// Runs `edit` after every list of `doctype`, before it is sent.
    pub fn after_every_list(&self, doctype: &str, mut edit: impl FnMut(&Self) + Send + 'static) {
        let wanted = doctype.to_owned();
        self.front().hooks.push(Box::new(move |site, doctype| {
            if doctype == wanted {
                edit(site);
            }
            true
        }));
    }

    /// Forgets all hooks.
    pub fn clear_hooks(&self) {
        self.front().hooks.clear();
    }

    /// The requests seen so far, oldest first; the log is bounded.
    pub fn requests(&self) -> Vec<Request> {
        self.front().log.iter().cloned().collect()
    }

    /// Empties the request log.
    pub fn forget_requests(&self) {
        self.front().log.clear();
    }

    /// Sets which server answers.
    pub fn set_transport(&self, transport: Transport) {
        self.front().transport = transport;
    }

    /// Sets latency and bandwidth.
    pub fn set_line(&self, line: Line) {
        self.front().line = line;
    }

    /// Sets the rate limit, or none.
    pub fn set_rate_limit(&self, rate: Option<RateLimit>) {
        self.front().rate = rate;
    }

    /// Takes HQ down for maintenance, or up again.
    pub fn set_maintenance(&self, maintenance: Maintenance) {
        self.front().maintenance = maintenance;
    }

    pub(super) fn run_hooks(&self, doctype: &str) {
        // One list at a time: while hooks run they are out of their place, and another list would miss them.
        let _turn = self.turn();
        let mut hooks = std::mem::take(&mut self.front().hooks);
        hooks.retain_mut(|hook| hook(self, doctype));
        let mut front = self.front();
        hooks.append(&mut front.hooks);
        front.hooks = hooks;
    }
}
