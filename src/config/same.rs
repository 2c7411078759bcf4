//! Whether two configurations mean the same HQ or the same database, secrets included, none of which is shown.

use secrecy::ExposeSecret as _;

use super::{Auth, Hq, Local, Secret, Tls};

impl Hq {
    /// Whether the other is the same HQ, asked with the same credentials in the same manner.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let Self { url, auth, tls, time_zone, timeout, max_requests_per_second, budget_share, retry } = self;
        *url == other.url
            && auth.is_same(&other.auth)
            && tls.is_same(&other.tls)
            && *time_zone == other.time_zone
            && *timeout == other.timeout
            && *max_requests_per_second == other.max_requests_per_second
            && budget_share.total_cmp(&other.budget_share).is_eq()
            && *retry == other.retry
    }
}

impl Local {
    /// Whether the other is the same database, for the same user.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && is_same(&self.url, &other.url)
    }
}

impl Auth {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token { api_key, api_secret }, Self::Token { api_key: other_key, api_secret: other_secret })
            | (Self::Basic { api_key, api_secret }, Self::Basic { api_key: other_key, api_secret: other_secret }) => {
                is_same(api_key, other_key) && is_same(api_secret, other_secret)
            }
            (Self::Token { .. }, Self::Basic { .. }) | (Self::Basic { .. }, Self::Token { .. }) => false,
        }
    }
}

impl Tls {
    fn is_same(&self, other: &Self) -> bool {
        let is_same_identity = match (&self.identity, &other.identity) {
            (None, None) => true,
            (Some(one), Some(other)) => is_same(one, other),
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.ca == other.ca && is_same_identity
    }
}

fn is_same(one: &Secret, other: &Secret) -> bool {
    one.expose_secret() == other.expose_secret()
}
