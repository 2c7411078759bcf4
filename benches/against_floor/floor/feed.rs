//! The floor's way to HQ: a thread that fetches the next page while the last one is written.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};

use crate::http::Client;
use crate::item::{self, Cursor, Item};

use super::Task;

/// Pages that wait for the writer.
const AHEAD: usize = 2;

/// Pages as they come; ends after the one that was not full.
#[derive(Debug)]
pub(crate) struct Feed {
    pages: Receiver<Fetched>,
    /// Gives back what a page was held in.
    used: SyncSender<Vec<u8>>,
    thread: JoinHandle<Result<Client>>,
}

/// A page's answer, and where the next one begins.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) body: Vec<u8>,
    /// The answer with the child rows, where there are any.
    pub(crate) children: Option<Vec<u8>>,
    pub(crate) after: Cursor,
}

impl Feed {
    pub(crate) fn start(mut client: Client, task: &Task, doctype: &str, mut after: Option<Cursor>) -> Self {
        let (sender, pages) = sync_channel(AHEAD);
        let (used, empty) = sync_channel::<Vec<u8>>(AHEAD + 2);
        let (doctype, size, has_children) = (doctype.to_owned(), task.page, task.has_children);
        let thread = std::thread::spawn(move || {
            loop {
                let mut body = empty.try_recv().unwrap_or_default();
                client.get(&item::path(&doctype, after.as_ref(), size), &mut body)?;
                // HQ is asked until it has no more, as it alone knows when that is.
                let Some(last) = item::last(item::rows(&body)?) else { break };
                after = Some(last.clone());
                let children = has_children.then(|| children(&mut client, &doctype, &body)).transpose()?;
                if sender.send(Fetched { body, children, after: last }).is_err() {
                    break;
                }
            }
            Ok(client)
        });
        Self { pages, used, thread }
    }

    pub(crate) fn next(&self) -> Option<Fetched> {
        self.pages.recv().ok()
    }

    pub(crate) fn take_back(&self, body: Vec<u8>) {
        // Nobody fetches any more.
        drop(self.used.try_send(body));
    }

    /// The connection, once all is fetched.
    pub(crate) fn end(self) -> Result<Client> {
        drop(self.pages);
        self.thread.join().map_err(|_panic| anyhow!("the fetching thread panicked"))?
    }
}

fn children(client: &mut Client, doctype: &str, body: &[u8]) -> Result<Vec<u8>> {
    let (mut parents, mut children) = (Vec::new(), Vec::new());
    item::each(item::rows(body)?, |item: Item<'_>, _text| {
        parents.push(item.code.0);
        Ok(())
    })?;
    let parents: Vec<&str> = parents.iter().map(|parent| &**parent).collect();
    client.post(item::LIST, &item::children_of(doctype, Some(&parents)), &mut children)?;
    Ok(children)
}
