//! The line to HQ: each step of the way, then who HQ takes us for, its zone and its clock.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Report;
use crate::clock::Clock;
use crate::config::{Config, Hq};
use crate::source::frappe::Frappe;
use crate::source::{self, Meter, in_clear, probe};
use crate::sync::Error;
use crate::sync::clocks::{CLOCK_TOLERANCE, is_same_zone};
use crate::watermark::Clocks;

/// How long each step may take.
const STEP: Duration = Duration::from_secs(5);

/// How long HQ may take for one small answer.
const ANSWER: Duration = Duration::from_secs(15);

/// A round trip beyond this is worth a word.
const SLOW: Duration = Duration::from_secs(2);

/// What renews certificates by itself has done so by then.
const RENEWED: chrono::TimeDelta = chrono::TimeDelta::days(14);

/// Where a proxy may be named.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

pub(super) async fn look(config: &Config, report: &mut Report) {
    if in_clear::is_to_be_said(&config.hq) {
        report.note("hq", in_clear::IN_CLEAR, in_clear::REMEDY);
    }
    let proxy = PROXIES.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    match proxy {
        Some(name) => report.note(
            "line",
            format!("{name} is set: the way goes by a proxy, and its steps were not looked at"),
            "nothing, if HQ answers below; the daemon needs the same variable",
        ),
        None if !way(&config.hq, report).await => return,
        None => {}
    }
    // One attempt: what is wrong is to be seen, not waited for.
    let mut hq = config.hq.clone();
    hq.retry.max_attempts = 1;
    hq.timeout = hq.timeout.min(ANSWER);
    match Frappe::new(&hq, &config.site.name, Clock::system()) {
        Ok(frappe) => Box::pin(answers(&frappe, config, report)).await,
        Err(cause) => said("setting up HQ", cause, report),
    }
}

/// Whether the whole way is open.
async fn way(hq: &Hq, report: &mut Report) -> bool {
    let mut is_open = true;
    for step in probe::walk(hq, STEP).await {
        let (name, took) = (step.name, step.took.as_millis());
        match step.found {
            Ok(found) => report.ok("line", format!("{name} ok in {took} ms: {found}")),
            Err(why) => {
                is_open = false;
                report.fault("line", super::Exit::Failed, format!("{name} failed: {why}"), remedy(name));
            }
        }
        let left = step.expires.map(|expires| expires - Clock::system().now());
        if let Some(left) = left.filter(|left| *left < RENEWED) {
            let message = format!("HQ's certificate is good for {} days more", left.num_days().max(0));
            report.note("line", message, "have it renewed at HQ (`bench renew-lets-encrypt`); after that no job runs");
        }
        if let Some(aside) = step.aside {
            let message = format!("other addresses of HQ do not answer: {aside}");
            report.note("line", message, "if they are not meant to be used, take them out of DNS (IPv6?)");
        }
    }
    is_open
}

fn remedy(step: &str) -> &'static str {
    match step {
        "DNS" => "check hq.url, and this machine's name server (/etc/resolv.conf)",
        probe::PLAIN => {
            "if HQ has no TLS there, begin hq.url with http:// (only in a network you trust); else check its port"
        }
        "TLS" => "check hq.url, this machine's clock, and HQ's certificate; a private CA is named by hq.tls.ca",
        _ => "check the line, a firewall on the way, and whether HQ is up; then hq.url and its port",
    }
}

async fn answers(frappe: &Frappe, config: &Config, report: &mut Report) {
    let meter = Meter::default();
    let began = Instant::now();
    match timeout(ANSWER, frappe.time_zone(&meter)).await {
        Ok(Ok((zone, asked))) => {
            let took = began.elapsed();
            let message = format!("answers in {} ms", took.as_millis());
            if took > SLOW {
                report.note("hq", message, "nothing, if the line is like that; pages adapt to it");
            } else {
                report.ok("hq", message);
            }
            clocks(config, &zone, asked, report);
        }
        Ok(Err(cause)) => return said("asking HQ for its time zone", cause, report),
        Err(_elapsed) => return silent(report),
    }
    match timeout(ANSWER, frappe.user(&meter)).await {
        Ok(Ok(user)) => report.ok("hq", format!("knows us as {user}")),
        Ok(Err(cause)) => said("logging in", cause, report),
        Err(_elapsed) => silent(report),
    }
}

fn silent(report: &mut Report) {
    let message = format!("no answer within {} s", ANSWER.as_secs());
    report.fault("hq", super::Exit::Failed, message, "see whether HQ is overloaded");
}

fn said(step: &str, cause: source::Error, report: &mut Report) {
    report.error("hq", &Error::Source { step: step.to_owned(), cause });
}

fn clocks(config: &Config, zone: &str, asked: Clocks, report: &mut Report) {
    let configured = config.hq.time_zone;
    if zone.parse().is_ok_and(|told| is_same_zone(configured, told, asked.hq)) {
        report.ok("hq", format!("writes its stamps in {zone}, as hq.time_zone says"));
    } else {
        let message = format!("hq.time_zone is {:?}, but HQ writes its stamps in {zone:?}", configured.name());
        report.problem("hq", message, format!("set hq.time_zone = {zone:?}"));
    }
    let apart = asked.hq - asked.outlet;
    if apart.abs() > CLOCK_TOLERANCE {
        let which = if apart < chrono::Duration::zero() { "behind" } else { "ahead of" };
        let message = format!("HQ's clock is {} s {which} this machine's", apart.num_seconds().abs());
        report.note("clock", message, "set the one that is wrong: schedules go by this machine's, stamps by HQ's");
    } else {
        report.ok("clock", format!("within {} s of HQ's", apart.num_seconds().abs().max(1)));
    }
}
