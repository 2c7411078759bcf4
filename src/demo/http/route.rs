//! From a request to its answer: maintenance, rate limit, login, then the endpoint.

use serde_json::{Value, json};

use super::super::filter;
use super::super::front::Maintenance;
use super::super::list;
use super::super::query::{Args, Call, Query};
use super::super::refusal::Refusal;
use super::super::site::Site;
use super::super::user::User;
use super::answer::Answer;
use super::document::{self, Nulls};
use super::meta;
use super::request::{Credentials, Incoming};

/// gunicorn's bound on a request line (recording 540).
const LINE_LENGTH: usize = 4094;

/// What a scripted fault changes about the rows of an answer.
#[derive(Debug, Default)]
pub(super) struct Twist {
    pub(super) is_empty: bool,
    pub(super) is_repeated: bool,
    pub(super) is_doubled: bool,
    pub(super) dropped_field: Option<String>,
    pub(super) ignores_start: bool,
    /// Rows of a list at most.
    pub(super) most: Option<usize>,
}

/// Answers a request.
pub(super) fn answer(site: &Site, incoming: &Incoming, twist: &Twist) -> Answer {
    if incoming.line_length > LINE_LENGTH {
        let page = format!(
            "<html>\n  <head>\n    <title>Bad Request</title>\n  </head>\n  <body>\n    <h1><p>Bad Request</p></h1>\n    \
             Request Line is too large ({} &gt; {LINE_LENGTH})\n  </body>\n</html>\n",
            incoming.line_length
        );
        return Answer { has_cookies: false, ..Answer::new(400, "text/html", page.into_bytes()) };
    }
    let maintenance = site.front().maintenance;
    if maintenance == Maintenance::On {
        let stopped = Refusal::new(503, "frappe.exceptions.SessionStopped").detail("Session Stopped");
        return Answer { has_cookies: false, ..Answer::refusal(incoming, &stopped) };
    }
    // The budget is checked before anybody is asked who they are (recording 873).
    let now = site.now();
    let allowance = site.front().spend(now);
    if allowance.is_some_and(|allowance| allowance.is_spent) {
        let refusal = Refusal::new(429, "frappe.exceptions.TooManyRequestsError");
        return Answer { allowance, ..Answer::refusal(incoming, &refusal) };
    }
    // A body that cannot be read is refused before there is a session (recordings 847, 848).
    if let Err(refusal) = incoming.args() {
        return Answer { has_cookies: false, allowance, ..Answer::refusal(incoming, &refusal) };
    }
    let mut answer = match login(site, incoming) {
        Ok(user) => {
            let mut answer = endpoint(site, incoming, &user, maintenance, twist)
                .unwrap_or_else(|refusal| Answer::refusal(incoming, &refusal));
            answer.user = user.email;
            answer
        }
        Err(refusal) => Answer::refusal(incoming, &refusal),
    };
    answer.allowance = allowance;
    answer
}

/// Who asks (recordings 801-809).
fn login(site: &Site, incoming: &Incoming) -> Result<User, Refusal> {
    match incoming.credentials() {
        Credentials::Nothing => Ok(User::guest()),
        Credentials::Malformed => Err(Refusal::bad_login()),
        Credentials::NotBase64 => Err(Refusal::thrown(
            400,
            "InvalidAuthorizationToken",
            "Failed to decode token, please provide a valid base64-encoded token.",
        )),
        Credentials::Pair(key, secret) => {
            let records = site.records();
            let user = records.users.iter().find(|user| user.key == key && user.secret == secret && !user.is_expired);
            user.cloned().ok_or_else(Refusal::bad_login)
        }
    }
}

fn endpoint(
    site: &Site,
    incoming: &Incoming,
    user: &User,
    maintenance: Maintenance,
    twist: &Twist,
) -> Result<Answer, Refusal> {
    let parts: Vec<&str> = incoming.segments.iter().map(String::as_str).collect();
    let (["api", "v1", rest @ ..] | ["api", rest @ ..]) = parts.as_slice() else {
        return Ok(Answer::html(404, "Not Found"));
    };
    match rest {
        ["resource", doctype] => collection(site, incoming, user, doctype, maintenance, twist),
        ["resource", doctype, name @ ..] => one(site, incoming, user, doctype, &name.join("/"), maintenance, twist),
        ["method", method] => call(site, incoming, user, method, twist),
        ["v2", "doctype", doctype, "meta"] => Ok(match site.records().table(doctype) {
            Ok(table) => Answer::json(200, &json!({"data": meta::describe(&table.doctype)})),
            // Version 2 of the interface words its refusals otherwise (recording 976c).
            Err(_unknown) => {
                let message = format!("DocType {doctype} not found");
                let error =
                    json!({"type": "DoesNotExistError", "message": message, "title": "Message", "indicator": "red"});
                Answer::json(404, &json!({"errors": [error]}))
            }
        }),
        _ => Err(Refusal::not_found(None)),
    }
}

fn collection(
    site: &Site,
    incoming: &Incoming,
    user: &User,
    doctype: &str,
    maintenance: Maintenance,
    twist: &Twist,
) -> Result<Answer, Refusal> {
    match incoming.method.as_str() {
        "GET" | "HEAD" => rows(site, user, doctype, &incoming.args()?, Call::Resource, twist),
        "POST" => {
            writable(maintenance)?;
            let args = incoming.args()?;
            let created = document::create(&mut site.records(), user, doctype, &args)?;
            Ok(Answer::json(200, &json!({"data": created})))
        }
        // Recording 829b.
        _ => {
            let page = "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not \
                        Allowed</h1>\n<p>The method is not allowed for the requested URL.</p>\n";
            let mut answer = Answer::new(405, "text/html; charset=utf-8", page.into());
            answer.headers.push(("allow", "HEAD, POST, GET".to_owned()));
            answer.has_cookies = false;
            Ok(answer)
        }
    }
}

fn one(
    site: &Site,
    incoming: &Incoming,
    user: &User,
    doctype: &str,
    name: &str,
    maintenance: Maintenance,
    twist: &Twist,
) -> Result<Answer, Refusal> {
    let told = |mut document: Value| {
        if let (Some(field), Value::Object(map)) = (&twist.dropped_field, &mut document) {
            map.shift_remove(field);
        }
        Answer::json(200, &json!({"data": document}))
    };
    match incoming.method.as_str() {
        "GET" | "HEAD" => document::read(&site.records(), user, doctype, name, Nulls::LeftOut).map(told),
        "PUT" => {
            writable(maintenance)?;
            document::update(&mut site.records(), user, doctype, name, &incoming.args()?).map(told)
        }
        "DELETE" => {
            writable(maintenance)?;
            document::delete(&mut site.records(), user, doctype, name)?;
            Ok(Answer::json(202, &json!({"data": "ok"})))
        }
        // Recordings 829 and 828.
        "POST" => Err(Refusal::new(500, "KeyError").detail("'run_method'")),
        _ => Err(Refusal::not_found(None)),
    }
}

/// Remote procedure calls, of which only those a puller needs are here.
fn call(site: &Site, incoming: &Incoming, user: &User, method: &str, twist: &Twist) -> Result<Answer, Refusal> {
    let message = |value: Value| Ok(Answer::json(200, &json!({"message": value})));
    let args = incoming.args()?;
    let text = |key: &str| args.get(key).and_then(Value::as_str).unwrap_or_default();
    match method {
        "ping" | "frappe.ping" => message("pong".into()),
        "frappe.client.get_time_zone" => message(json!({"time_zone": site.records().clock.zone().name()})),
        _ if user.is_guest() => {
            let words = format!(
                "<details><summary>You are not permitted to access this resource.</summary>Function \
                 <strong>{method}</strong> is not whitelisted.</details>"
            );
            Err(Refusal::thrown(403, "PermissionError", &words))
        }
        "frappe.auth.get_logged_user" => message(user.email.as_str().into()),
        "frappe.client.get_list" => rows(site, user, text("doctype"), &args, Call::GetList, twist),
        "frappe.client.get_count" => {
            let records = site.records();
            let table = records.table(text("doctype"))?;
            let filters = match args.get("filters") {
                Some(Value::String(text)) if !text.is_empty() => serde_json::from_str(text)
                    .map_err(|error| Refusal::bad_json(&format!("Expecting value: {error}")))?,
                Some(other) if !other.is_string() => other.clone(),
                _ => Value::Null,
            };
            message(list::count(table, &filter::read(&table.doctype, &filters, &|_| false)?))
        }
        "frappe.client.get" => {
            message(document::read(&site.records(), user, text("doctype"), text("name"), Nulls::Kept)?)
        }
        "frappe.desk.form.load.getdoctype" => {
            let records = site.records();
            let doctype = &records.table(text("doctype"))?.doctype;
            let children = doctype.tables().filter_map(|(_, child)| records.table(child).ok());
            let docs: Vec<Value> = std::iter::once(meta::describe(doctype))
                .chain(children.map(|child| meta::describe(&child.doctype)))
                .collect();
            Ok(Answer::json(200, &json!({"docs": docs, "user_settings": "{}"})))
        }
        _ => {
            let (module, function) = method.rsplit_once('.').unwrap_or(("", method));
            let words = format!(
                "Failed to get method for command {method} with module '{module}' has no attribute '{function}'"
            );
            Err(Refusal::thrown(417, "ValidationError", &words))
        }
    }
}

fn rows(site: &Site, user: &User, doctype: &str, args: &Args, call: Call, twist: &Twist) -> Result<Answer, Refusal> {
    let last = site.front().last_lists.insert(doctype.to_owned(), args.clone());
    let args = match last {
        Some(last) if twist.is_repeated => last,
        _ => args.clone(),
    };
    let key = if call == Call::Resource { "data" } else { "message" };
    let page = {
        let records = site.records();
        let mut query = Query::read(&records, user, doctype, &args, call)?;
        if let Some(field) = &twist.dropped_field {
            query.outputs.retain(|output| output.label != *field);
        }
        if twist.is_empty {
            query.limit = Some(0);
        }
        if twist.ignores_start {
            query.start = 0;
        }
        if let Some(most) = twist.most {
            query.limit = Some(query.limit.map_or(most, |limit| limit.min(most)));
        }
        list::page(&records, records.table(doctype)?, user, &query, twist.is_doubled)
    };
    site.run_hooks(doctype);
    let mut answer = Answer::wrapped(key, &page.body);
    answer.rows = page.rows;
    Ok(answer)
}

/// Refuses writes while only reads are allowed (recording 884).
fn writable(maintenance: Maintenance) -> Result<(), Refusal> {
    if maintenance != Maintenance::ReadsAllowed {
        return Ok(());
    }
    let words = "Site is running in read only mode for maintenance or site update, this action can not be performed right \
                 now. Please try again later.";
    Err(Refusal::thrown(503, "InReadOnlyMode", words))
}
