//! The server: connections that can be cut, answers that can be late, short or broken.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::super::fault::Fault;
use super::super::front::{self, Transport};
use super::super::refusal::Refusal;
use super::super::site::Site;
use super::answer::{self, Answer};
use super::broken::{Close, bomb, oversized, pieces, too_many};
use super::request::Incoming;
use super::route::{self, Twist};
use super::wire::{Cut, End, Tap};

/// Largest body taken; nginx in front of Frappe commonly allows 50 MB (recording 1518).
const BODY_LIMIT: usize = 50 << 20;

/// A running server; dropping it closes its port and all its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Where it listens, as a URL without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it at once: whoever waits for an answer finds the connection closed.
    pub fn shutdown(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has stopped as well.
            drop(thread.join());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Serves a site on threads of its own, so that a test may block while it waits for milkrun. Port 0 is any free one.
///
/// # Errors
/// The address is taken, or the system has no thread left.
pub fn serve(site: &Site, address: SocketAddr) -> io::Result<Server> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let app = Router::new().fallback(handle).with_state(site.clone()).into_make_service_with_connect_info::<Cut>();
    let thread = std::thread::Builder::new().name("simulated-hq".to_owned()).spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else {
                return;
            };
            tokio::select! {
                _ = axum::serve(Tap(listener), app) => {}
                _ = stopped => {}
            }
        });
        runtime.shutdown_background();
    })?;
    Ok(Server { address, stop: Some(stop), thread: Some(thread) })
}

/// What becomes of a body on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Whole,
    CutBody,
    StallBody,
    Trickle,
    CutGzip,
    /// Said to be gzip, and sent as it is.
    AsGzip,
}

async fn handle(State(site): State<Site>, ConnectInfo(cut): ConnectInfo<Cut>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return plain(Answer::new(413, "text/html", b"<html><h1>413 Request Entity Too Large</h1></html>".to_vec()));
    };
    let incoming = Incoming::new(&parts.method, &parts.uri, parts.headers, body.to_vec());
    let doctype = incoming.doctype();
    let asked = (incoming.method.as_str(), incoming.path.as_str(), incoming.query.as_slice());
    let fault = site.front().faults.take(asked, doctype.as_deref());
    let transport = site.front().transport;
    let line = site.front().line;

    let mut twist = Twist::default();
    let mut delivery = Delivery::Whole;
    let mut is_lost = false;
    let mut end = End::default();
    let mut content_type = None;
    let mut instead = None;
    let told = fault.as_ref().map(|fault| format!("{fault:?}"));
    match fault {
        None => {}
        Some(Fault::Refuse) => {
            is_lost = true;
            instead = Some(Answer::new(0, "", Vec::new()));
        }
        Some(Fault::Reset) => {
            (is_lost, end) = (true, End::Reset);
            instead = Some(Answer::new(0, "", Vec::new()));
        }
        Some(Fault::Raw(bytes)) => {
            (is_lost, end) = (true, End::After(bytes));
            instead = Some(Answer::new(0, "", Vec::new()));
        }
        Some(Fault::Late(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Hold(hold)) => hold.wait().await,
        Some(Fault::LoseAnswer) => is_lost = true,
        Some(Fault::CutBody) => delivery = Delivery::CutBody,
        Some(Fault::StallBody) => delivery = Delivery::StallBody,
        Some(Fault::Trickle) => delivery = Delivery::Trickle,
        Some(Fault::CutGzip) => delivery = Delivery::CutGzip,
        Some(Fault::GarbageGzip) => {
            delivery = Delivery::AsGzip;
            instead = Some(Answer::new(200, "application/json", b"\x1f\x8b\x08\x00 no gzip at all".to_vec()));
        }
        Some(Fault::Bomb(size)) => {
            delivery = Delivery::AsGzip;
            instead = Some(Answer::new(200, "application/json", bomb(size)));
        }
        Some(Fault::Answer(status, content_type, body)) => instead = Some(Answer::new(status, &content_type, body)),
        Some(Fault::Redirect(status, to)) => {
            let mut answer = Answer::html(status, "Redirecting...");
            answer.headers.push(("location", to));
            instead = Some(answer);
        }
        Some(Fault::HtmlPage) => instead = Some(Answer::html(200, "Welcome")),
        Some(Fault::LoginRedirect) => {
            let mut answer = Answer::html(302, "Redirecting...");
            answer.headers.push(("location", "/login".to_owned()));
            instead = Some(answer);
        }
        Some(Fault::TooMany(seconds)) => instead = Some(too_many(&incoming, seconds.to_string())),
        Some(Fault::Asked(text)) => instead = Some(too_many(&incoming, text)),
        Some(Fault::Proxy(status)) => instead = Some(Answer::proxy(status)),
        Some(Fault::Exception(status, exc_type)) => {
            let refusal = Refusal::new(status, &format!("frappe.exceptions.{exc_type}"));
            instead = Some(Answer::refusal(&incoming, &refusal));
        }
        Some(Fault::TokenExpires) => expire(&site, &incoming),
        Some(Fault::Oversized(bytes)) => instead = Some(oversized(bytes)),
        Some(Fault::Shape(body)) => instead = Some(Answer::json(200, &body)),
        Some(Fault::ContentType(other)) => content_type = Some(other),
        Some(Fault::EmptyList) => twist.is_empty = true,
        Some(Fault::RepeatPage) => twist.is_repeated = true,
        Some(Fault::DropField(field)) => twist.dropped_field = Some(field),
        Some(Fault::DoubleRows) => twist.is_doubled = true,
        Some(Fault::IgnoreStart) => twist.ignores_start = true,
        Some(Fault::CutList(rows)) => twist.most = Some(rows),
    }
    let mut answer = instead.unwrap_or_else(|| route::answer(&site, &incoming, &twist));
    if let Some(content_type) = content_type {
        answer.content_type = content_type;
    }
    site.front().record(front::Request {
        number: 0,
        method: incoming.method.clone(),
        path: incoming.path.clone(),
        query: incoming.query.clone(),
        body: incoming.logged_body(),
        user_agent: incoming.header("user-agent").to_owned(),
        doctype,
        user: answer.user.clone(),
        status: if is_lost { 0 } else { answer.status },
        rows: answer.rows,
        bytes: answer.body.len(),
        fault: told,
    });
    if is_lost {
        cut.now(end);
        return plain(Answer::new(500, "text/plain", Vec::new()));
    }
    if !line.latency.is_zero() {
        tokio::time::sleep(line.latency).await;
    }
    send(&site, &incoming, answer, transport, delivery, line)
}

fn send(
    site: &Site,
    incoming: &Incoming,
    answer: Answer,
    transport: Transport,
    delivery: Delivery,
    line: front::Line,
) -> Response {
    let mut headers = answer.header_map(site.now(), transport);
    let is_zipped =
        matches!(delivery, Delivery::CutGzip | Delivery::AsGzip) || answer.is_compressible(transport, incoming);
    let mut body = if is_zipped {
        headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        if delivery == Delivery::AsGzip { answer.body } else { answer::gzip(&answer.body) }
    } else {
        answer.body
    };
    if delivery == Delivery::CutGzip {
        body.truncate(body.len() / 2);
    }
    headers.insert("content-length", HeaderValue::from(body.len()));
    let body = if incoming.method == "HEAD" {
        Body::empty()
    } else if matches!(delivery, Delivery::CutBody | Delivery::StallBody) {
        body.truncate(body.len() / 2);
        pieces(body, None, if delivery == Delivery::CutBody { Close::BreaksOff } else { Close::Never })
    } else if delivery == Delivery::Trickle {
        pieces(body, Some(1), Close::Well)
    } else if let Some(speed) = line.bytes_per_second {
        pieces(body, Some(speed), Close::Well)
    } else {
        Body::from(body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

fn plain(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Takes the token of who asks away; the request then meets 401 by itself.
fn expire(site: &Site, incoming: &Incoming) {
    if let super::request::Credentials::Pair(key, _) = incoming.credentials() {
        site.records()
            .users
            .iter_mut()
            .filter(|user| user.key == key)
            .for_each(|user| user.is_expired = true);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    use serde_json::json;

    use super::super::super::doctype::DocType;
    use super::super::super::fault::{Hold, When};
    use super::super::super::user::User;
    use super::*;

    fn hq() -> (Site, Server) {
        let site = Site::new(chrono_tz::Asia::Kolkata)
            .doctype(DocType::new("Note").fields([("text", "Data")]))
            .user(User::system_manager("a@hq.test", "k", "s"));
        for number in 0..40 {
            site.insert("Note", json!({"text": format!("note {number}")})).unwrap();
        }
        site.set_transport(Transport::Gunicorn);
        let server = serve(&site, ([127, 0, 0, 1], 0).into()).unwrap();
        (site, server)
    }

    /// All that comes until the connection closes.
    fn ask(server: &Server, method: &str, body: &str) -> String {
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        let head = format!(
            "{method} /api/resource/Note?fields=[\"name\",\"text\"]&limit=40 HTTP/1.1\r\nHost: hq\r\nAuthorization: token \
             k:s\r\nContent-Type: application/json\r\nContent-Length: {}\r\nAccept-Encoding: gzip\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.replace('"', "%22").replace("%22text%22: ", "\"text\":").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // A reset tells that the connection closed as well.
        stream.read_to_end(&mut bytes).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn body_of(answer: &str) -> &str {
        answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default()
    }

    #[test]
    fn a_refused_request_does_nothing_and_a_lost_answer_does_the_work() {
        let (site, server) = hq();
        site.fault(Fault::Refuse);
        site.fault(Fault::LoseAnswer);
        assert_eq!(ask(&server, "POST", "{}"), "");
        assert_eq!(site.count("Note"), 40);
        assert_eq!(ask(&server, "POST", "{}"), "");
        assert_eq!(site.count("Note"), 41);
        assert!(ask(&server, "POST", "{}").starts_with("HTTP/1.1 200"));
        let statuses: Vec<u16> = site.requests().iter().map(|request| request.status).collect();
        assert_eq!(statuses, [0, 0, 200]);
    }

    #[test]
    fn a_cut_body_arrives_in_part_under_its_full_length() {
        let (site, server) = hq();
        let whole = ask(&server, "GET", "");
        site.fault(Fault::CutBody);
        let cut = ask(&server, "GET", "");
        let length = format!("content-length: {}", body_of(&whole).len());
        assert!(whole.contains(&length) && cut.contains(&length), "{cut}");
        assert_eq!(body_of(&cut).len(), body_of(&whole).len() / 2);
    }

    #[test]
    fn data_faults_change_the_rows_and_nothing_else() {
        let (site, server) = hq();
        site.fault_when(When::doctype("Note"), Fault::EmptyList);
        site.fault(Fault::DoubleRows);
        site.fault(Fault::DropField("text".into()));
        site.fault(Fault::Shape(json!({"data": {}})));
        assert_eq!(body_of(&ask(&server, "GET", "")), r#"{"data":[]}"#);
        assert_eq!(body_of(&ask(&server, "GET", "")).matches("note 7\"").count(), 2);
        assert!(!ask(&server, "GET", "").contains("note 7"));
        assert_eq!(body_of(&ask(&server, "GET", "")), r#"{"data":{}}"#);
        assert_eq!(site.faults_left(), 0);
    }

    #[test]
    fn a_token_that_expires_stays_expired_until_healed() {
        let (site, server) = hq();
        site.fault_when(When::any().nth(2), Fault::TokenExpires);
        let statuses: Vec<String> = (0..3).map(|_| ask(&server, "GET", "").chars().skip(9).take(3).collect()).collect();
        assert_eq!(statuses, ["200", "401", "401"]);
        site.heal();
        assert!(ask(&server, "GET", "").starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn a_held_request_is_answered_once_released() {
        let (site, server) = hq();
        let hold = Hold::new();
        site.fault(Fault::Hold(hold.clone()));
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| ask(&server, "GET", ""));
            assert!(hold.wait_until_reached(Duration::from_secs(10)));
            site.insert("Note", json!({"text": "meanwhile"})).unwrap();
            hold.release();
            assert!(answer.join().unwrap().starts_with("HTTP/1.1 200"));
        });
    }

    #[test]
    fn an_edit_after_a_list_falls_between_two_pages() {
        let (site, server) = hq();
        site.after_list("Note", 1, |site| {
            site.insert("Note", json!({"text": "between"})).unwrap();
        });
        assert!(!ask(&server, "GET", "").contains("between"));
        assert_eq!(site.count("Note"), 41);
        ask(&server, "GET", "");
        assert_eq!(site.count("Note"), 41);
    }
}
