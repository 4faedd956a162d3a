//! Requests to the hub: tried again with growing pauses, redirected by hand so that the token stays with the endpoint it
//! is for, and refused with what the user can do about it.

use super::HubOptions;
use super::apart::{apart, content};
use super::headers::{etag, next_page, origin, redirect, wait_time};
use crate::error::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::http::HeaderMap;
use ureq::{Agent, Body, Timeout};

/// Fails when the caller wants to stop; asked before each attempt and all the time while waiting.
pub(super) type Stop<'a> = dyn Fn() -> Result<()> + 'a;

/// Attempts at a host that has never answered: it is more likely a wrong name or no network than a bad moment.
const FIRST_ATTEMPTS: u32 = 3;
const MAX_REDIRECTS: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(32);
/// The hub counts requests in windows of five minutes.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
/// How often a wait asks whether to go on.
pub(super) const SLICE: Duration = Duration::from_millis(100);
/// A page of a listing has 1000 files of less than 1 KiB.
const MAX_PAGE_BYTES: u64 = 64 << 20;

/// Why an attempt gave nothing.
pub(super) enum Failure {
    Again(Again),
    Final(Error),
}

/// An attempt that may go better the next time.
#[derive(Default)]
pub(super) struct Again {
    pub reason: String,
    /// What the server asked for.
    pub after: Option<Duration>,
    /// No connection came about.
    pub is_unreachable: bool,
    /// It brought enough to count as a success.
    pub has_progress: bool,
}

/// A successful answer whose body is still to be read.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Body,
    /// The ETag of the file as the endpoint states it, where it passes the request on to another host.
    pub linked_etag: Option<String>,
    /// The address on another host that gave this answer.
    pub elsewhere: Option<String>,
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

pub(super) struct Client {
    agent: Agent,
    origin: String,
    token: Option<String>,
    attempts: u32,
    sleep: Arc<dyn Fn(Duration) + Send + Sync>,
    jitter: Mutex<ChaCha8Rng>,
    has_answered: AtomicBool,
}

impl Client {
    pub fn new(options: &HubOptions) -> Result<Self> {
        let wrong = || Error::Argument(format!("Cannot use the hub at {}: wanted http(s)://<host> (HF_ENDPOINT)", options.endpoint));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("bowline/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(options.timeout))
            .timeout_connect(Some(options.timeout))
            .timeout_recv_response(Some(options.timeout))
            .timeout_per_read(Some(options.timeout));
        Ok(Self {
            agent: config.build().new_agent(),
            origin: origin(&options.endpoint).ok_or_else(wrong)?.into(),
            token: options.token.clone(),
            attempts: options.attempts,
            sleep: options.sleep.clone(),
            jitter: Mutex::new(ChaCha8Rng::seed_from_u64(options.seed)),
            has_answered: AtomicBool::new(false),
        })
    }

    /// One page of JSON and the address of the next one. `subject` is what an error is about.
    pub fn page<T: DeserializeOwned>(&self, url: &str, subject: &str, stop: &Stop) -> Result<(T, Option<String>)> {
        self.retry(subject, stop, || {
            let Answer { headers, body, .. } = self.send(url, None, subject, stop)?;
            let again = |what: &str| Failure::Again(Again { reason: format!("{} {what}", self.origin), ..Again::default() });
            let (bytes, failure) = content(body, MAX_PAGE_BYTES, stop)?;
            failure.map_or(Ok(()), |e| Err(again(&format!("broke off ({e})"))))?;
            let page =
                serde_json::from_slice(&bytes).map_err(|e| again(&format!("answered something that is not the hub's JSON ({e})")))?;
            Ok((page, header(&headers, "link").and_then(next_page).and_then(|next| redirect(url, next))))
        })
    }

    /// Calls `attempt` until it succeeds, fails for good or has failed too often in a row.
    pub fn retry<T>(&self, subject: &str, stop: &Stop, mut attempt: impl FnMut() -> std::result::Result<T, Failure>) -> Result<T> {
        let mut failed = 0;
        loop {
            stop()?;
            let again = match attempt() {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again(again)) => again,
            };
            failed = if again.has_progress { 1 } else { failed + 1 };
            let is_silent = again.is_unreachable && !self.has_answered.load(Ordering::Relaxed);
            if failed >= if is_silent { self.attempts.min(FIRST_ATTEMPTS) } else { self.attempts } {
                let remedy = if again.is_unreachable {
                    "check the network, or name a reachable hub in HF_ENDPOINT"
                } else {
                    "try again later: a resumed run goes on where this one stopped"
                };
                return Err(Error::data(subject, format!("{} ({failed} attempts); {remedy}", again.reason)));
            }
            self.pause(failed, again.after, stop)?;
        }
    }

    /// Waits after failure number `failed`: twice as long each time, at least as long as the server asked for.
    fn pause(&self, failed: u32, after: Option<Duration>, stop: &Stop) -> Result<()> {
        let draw = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).next_u32();
        // Between a half and the whole, so that many that failed together do not come back together.
        let share = 0.5 + 0.5 * f64::from(draw) / f64::from(u32::MAX);
        let own = FIRST_PAUSE.saturating_mul(1 << (failed - 1).min(16)).min(LONGEST_PAUSE).mul_f64(share);
        let mut left = own.max(after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        while !left.is_zero() {
            stop()?;
            let slice = left.min(SLICE);
            (self.sleep)(slice);
            left -= slice;
        }
        Ok(())
    }

    /// One request with its redirects. The range is `first..end` in bytes.
    pub fn send(&self, url: &str, range: Option<(u64, u64)>, subject: &str, stop: &Stop) -> std::result::Result<Answer, Failure> {
        let mut url = url.to_string();
        let mut linked_etag = None;
        for _ in 0..=MAX_REDIRECTS {
            let is_home = origin(&url) == Some(&self.origin);
            let mut request = self.agent.get(&url);
            if let Some((first, end)) = range {
                request = request.header("range", format!("bytes={first}-{}", end - 1));
            }
            if let Some(token) = self.token.as_ref().filter(|_| is_home) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let response = apart(move || request.call(), stop)?.map_err(|e| no_answer(&url, e, subject))?;
            self.has_answered.fetch_or(is_home, Ordering::Relaxed);
            let status = response.status().as_u16();
            let (parts, body) = response.into_parts();
            if is_home {
                linked_etag = header(&parts.headers, "x-linked-etag").map(|value| etag(value).to_string()).or(linked_etag);
            }
            if (200..300).contains(&status) {
                let elsewhere = (!is_home).then_some(url);
                return Ok(Answer { status, headers: parts.headers, body, linked_etag, elsewhere });
            }
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Err(refused(&url, status, &parts.headers, is_home, subject));
            }
            // A connection whose body was read is used again.
            content(body, 1 << 16, stop)?;
            let next = header(&parts.headers, "location").and_then(|location| redirect(&url, location));
            url = next.ok_or_else(|| final_error(subject, format!("{url} redirects to nowhere that may be followed")))?;
        }
        Err(final_error(subject, format!("it is redirected more than {MAX_REDIRECTS} times, at last to {url}")))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn final_error(subject: &str, reason: String) -> Failure {
    Failure::Final(Error::data(subject, reason))
}

/// A request that got no answer.
fn no_answer(url: &str, error: ureq::Error, subject: &str) -> Failure {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    use ureq::Error::{BadUri, ConnectionFailed, HostNotFound, Http, InvalidProxyUrl, Io, Rustls, Tls};
    let host = origin(url).unwrap_or(url);
    if matches!(error, BadUri(_) | Http(_) | InvalidProxyUrl) {
        return final_error(subject, format!("{url} cannot be asked for ({error})"));
    }
    let is_unreachable = match &error {
        HostNotFound | ConnectionFailed | Tls(_) | Rustls(_) | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        Io(e) => matches!(e.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable),
        _ => false,
    };
    let what = if is_unreachable { "cannot be reached" } else { "broke off" };
    Failure::Again(Again { reason: format!("{host} {what} ({error})"), is_unreachable, ..Again::default() })
}

/// An answer that is neither content nor a redirect.
fn refused(url: &str, status: u16, headers: &HeaderMap, is_home: bool, subject: &str) -> Failure {
    let host = origin(url).unwrap_or(url);
    let reason = match (status, header(headers, "x-error-code")) {
        // On another host it is the signature in the address that has run out: the hub signs a new one.
        (401 | 403, code) if is_home && code != Some("RepoNotFound") => format!(
            "{host} refuses access (HTTP {status}); if the dataset is gated or private, accept its terms on its page and set HF_TOKEN"
        ),
        (401 | 403 | 404, Some("RepoNotFound")) => {
            format!("{host} has no such dataset (HTTP {status}); check its name, or set HF_TOKEN if it is private")
        }
        (404, Some("RevisionNotFound")) => format!("{host} has no such revision of it (HTTP 404); check what stands after '@'"),
        (404 | 410, _) => format!("{host} has no such file or folder (HTTP {status}); check the path"),
        (401 | 403 | 408 | 425 | 429 | 500.., _) => {
            let after = wait_time(header(headers, "retry-after"), header(headers, "ratelimit"));
            return Failure::Again(Again { reason: format!("{host} answers HTTP {status}"), after, ..Again::default() });
        }
        (416, _) => format!("{host} has fewer bytes of it than when it was listed (HTTP 416); name a fixed commit after '@'"),
        _ => format!("{host} answers HTTP {status}; check HF_ENDPOINT"),
    };
    final_error(subject, reason)
}
