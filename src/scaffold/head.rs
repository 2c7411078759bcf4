//! The sections before the jobs: who the outlet is, where HQ is, where the rows go.

use super::write::quoted;

/// What the head says.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    /// `site.name`.
    pub site: &'a str,
    /// `site.time_zone`.
    pub site_zone: &'a str,
    /// `hq.url`.
    pub url: &'a str,
    /// `hq.auth.api_key`, as `${…}`.
    pub api_key: &'a str,
    /// `hq.auth.api_secret`, as `${…}`.
    pub api_secret: &'a str,
    /// `hq.tls.ca`.
    pub ca: Option<&'a str>,
    /// `hq.time_zone`.
    pub hq_zone: &'a str,
    /// `local.url`.
    pub local: &'a str,
}

/// `[site]`, `[hq]`, `[local]` and `[daemon]`, each key with what it is for.
#[must_use]
pub fn head(head: &Head<'_>) -> String {
    let Head { site, site_zone, url, api_key, api_secret, ca, hq_zone, local } = head;
    let [site, site_zone, url, api_key, api_secret, hq_zone, local] =
        [site, site_zone, url, api_key, api_secret, hq_zone, local].map(|text| quoted(text));
    let tls = ca.map(|ca| format!("tls = {{ ca = {} }}\n", quoted(ca))).unwrap_or_default();
    format!(
        r#"# Written by `milkrun init` from HQ's own field lists. It syncs as it is; every line may be changed.
#   milkrun check             looks at this file, HQ and the database
#   milkrun sync --dry-run    shows what a run would do
#   milkrun run               keeps this outlet in step
#   milkrun init DOCTYPE      adds another job at the end

[site]
name = {site}   # in logs, metrics and the User-Agent
time_zone = {site_zone}   # schedules are read in it

[hq]
url = {url}
# ${{NAME}} reads the environment, ${{file:PATH}} a file: no secret stands here.
auth = {{ kind = "token", api_key = {api_key}, api_secret = {api_secret} }}
{tls}time_zone = {hq_zone}   # HQ writes its stamps in it: System Settings, Time Zone

[local]
url = {local}   # sqlite://FILE, postgres://USER:PASSWORD@HOST/DATABASE or mysql://…

[daemon]
listen = "127.0.0.1:7878"   # status page, /healthz, /metrics; take it out to listen on nothing
"#
    )
}
