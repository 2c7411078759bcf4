//! Whether HQ answers now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock::Clock;
use crate::config::Config;
use crate::retry::Teller;
use crate::source::frappe::Frappe;
use crate::source::{self, Meter};

/// Who looks at a screen waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of asking.
#[derive(Debug, Serialize)]
pub(super) struct Probe {
    /// Whether it answered, and knows us.
    pub(super) answers: bool,
    /// As whom it knows us.
    pub(super) user: Option<String>,
    /// How long that took.
    pub(super) milliseconds: u64,
    /// Whether it did answer, and refused.
    #[serde(skip)]
    is_refused: bool,
    /// Why it did not.
    pub(super) error: Option<String>,
    /// What can be done about that.
    pub(super) remedy: Option<String>,
}

impl Probe {
    /// Asks HQ who we are.
    pub(super) async fn ask(config: &Arc<Config>) -> Self {
        let (began, meter) = (Instant::now(), Meter::default());
        let asking = async {
            let hq = Frappe::new(&config.hq, &config.site.name, Clock::system())?;
            hq.user(&meter).await
        };
        let mut is_refused = false;
        let (user, error, remedy) = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(user)) => (Some(user), None, None),
            Ok(Err(error)) => {
                is_refused = matches!(error, source::Error::Unauthorized { .. } | source::Error::Forbidden { .. });
                (None, Some(error.to_string()), Some(error.remedy(Teller::Command)))
            }
            Err(_elapsed) => {
                let remedy = "see whether the line is up; `milkrun check` looks at everything".to_owned();
                (None, Some(format!("no answer within {} s", PATIENCE.as_secs())), Some(remedy))
            }
        };
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { answers: user.is_some(), user, milliseconds, is_refused, error, remedy }
    }

    pub(super) fn sentence(&self) -> String {
        match (&self.user, &self.error) {
            (Some(user), _) => format!("HQ answers now and knows us as {user} ({} ms)", self.milliseconds),
            (None, Some(error)) if self.is_refused => format!("HQ answers, but not us: {error}"),
            (None, error) => format!("HQ does not answer: {}", error.as_deref().unwrap_or("unknown why")),
        }
    }
}
