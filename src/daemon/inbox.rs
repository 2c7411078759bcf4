//! Messages about jobs, kept until they are taken: at most one a job, or one of a kind, so that it never holds more than
//! there are jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The inbox of one reader; clones are the same one. Jobs are meant by position.
#[derive(Debug)]
pub(super) struct Inbox<T>(Arc<(Mutex<BTreeMap<usize, T>>, Notify)>);

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self(Arc::new((Mutex::default(), Notify::new())))
    }
}

impl<T: Ord> Inbox<BTreeSet<T>> {
    /// Leaves a message beside those about the job.
    pub(super) fn add(&self, job: usize, message: T) {
        self.messages().entry(job).or_default().insert(message);
        self.0.1.notify_one();
    }
}

impl<T: Ord> Inbox<T> {
    /// Leaves a message; of two about one job the greater stays.
    pub(super) fn put(&self, job: usize, message: T) {
        {
            let mut messages = self.messages();
            let greater = match messages.remove(&job) {
                Some(known) => known.max(message),
                None => message,
            };
            messages.insert(job, greater);
        }
        self.0.1.notify_one();
    }

    /// Takes all that is there.
    pub(super) fn take(&self) -> BTreeMap<usize, T> {
        std::mem::take(&mut *self.messages())
    }

    /// Waits until something is there, and takes it all.
    pub(super) async fn wait(&self) -> BTreeMap<usize, T> {
        loop {
            let messages = self.take();
            if !messages.is_empty() {
                return messages;
            }
            self.0.1.notified().await;
        }
    }

    fn messages(&self) -> MutexGuard<'_, BTreeMap<usize, T>> {
        // A message is never left half-written.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn however_much_is_sent_each_job_has_one_message() {
        let inbox = Inbox::default();
        for round in 0..10_000 {
            inbox.put(round % 3, round);
        }
        assert_eq!(inbox.wait().await, BTreeMap::from([(0, 9_999), (1, 9_997), (2, 9_998)]));
        assert!(inbox.take().is_empty());
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let inbox = Inbox::default();
        let reader = inbox.clone();
        let waiting = tokio::spawn(async move { reader.wait().await });
        tokio::task::yield_now().await;
        inbox.put(1, "due");
        assert_eq!(waiting.await.unwrap(), BTreeMap::from([(1, "due")]));
    }
}
