//! What the server of `server.rs` has, and its answers: listings in pages, redirects, ranges, errors.

use super::server::{Fault, Seen};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};

pub const DATASET: &str = "org/set";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Files from this size on are large ones to the hub, unless a test says otherwise.
pub const LARGE: usize = 1000;

/// What the server has and does; tests change it at any time.
pub struct World {
    pub commit: String,
    pub files: BTreeMap<String, Vec<u8>>,
    pub page_size: usize,
    pub large: usize,
    /// Wanted for everything, if set.
    pub token: Option<String>,
    /// For the next requests, one each.
    pub faults: VecDeque<Fault>,
    /// Of 1000 requests, those that fail in one way or another.
    pub per_mille: u64,
    random: u64,
    /// Signatures in redirects below this number have run out.
    pub oldest_signature: u64,
    next_signature: u64,
    pub has_ranges: bool,
    pub seen: Vec<Seen>,
    /// Bytes of content that were sent.
    pub sent: u64,
    second: String,
}

/// An answer before it is written.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub is_content: bool,
}

pub fn reply(status: u16, head: impl Into<String>, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, head: head.into(), body: body.into(), is_content: false }
}

impl World {
    pub fn new(files: &[(&str, Vec<u8>)], second: String) -> Self {
        Self {
            commit: COMMIT.into(),
            files: files.iter().map(|(path, content)| (path.to_string(), content.clone())).collect(),
            page_size: 1000,
            large: LARGE,
            token: None,
            faults: VecDeque::new(),
            per_mille: 0,
            random: 1,
            oldest_signature: 0,
            next_signature: 0,
            has_ranges: true,
            seen: Vec::new(),
            sent: 0,
            second,
        }
    }

    /// What goes wrong with this request.
    pub fn fault(&mut self) -> Option<Fault> {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = self.random >> 33;
        let fails = draw % 1000 < self.per_mille;
        let any = || match draw / 1000 % 4 {
            0 => Fault::Answer(503, ""),
            1 => Fault::Answer(429, "retry-after: 0\r\n"),
            2 => Fault::Close,
            _ => Fault::Cut,
        };
        self.faults.pop_front().or_else(|| fails.then(any))
    }

    /// The hub itself.
    pub fn first(&mut self, path: &str, range: Option<String>, token: Option<String>) -> Reply {
        if self.token.as_ref().is_some_and(|wanted| token != Some(format!("Bearer {wanted}"))) {
            return reply(401, "x-error-code: GatedRepo\r\n", "");
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = unescape(path);
        let api = format!("/api/datasets/{DATASET}/");
        if let Some(revision) = path.strip_prefix(&format!("{api}revision/")) {
            let known = ["main", "v1", "refs/convert/parquet", &self.commit].contains(&revision);
            let answer = format!("{{\"id\":\"{DATASET}\",\"sha\":\"{}\"}}", self.commit);
            return if known { reply(200, "", answer) } else { reply(404, "x-error-code: RevisionNotFound\r\n", "") };
        }
        if let Some(rest) = path.strip_prefix(&format!("{api}tree/{COMMIT}")) {
            return self.tree(rest.trim_start_matches('/'), query, &path);
        }
        let Some(path) = path.strip_prefix(&format!("/datasets/{DATASET}/resolve/{COMMIT}/")) else {
            return reply(404, "x-error-code: RepoNotFound\r\n", "");
        };
        let Some(content) = self.files.get(path).cloned() else { return reply(404, "x-error-code: EntryNotFound\r\n", "") };
        if content.len() < self.large {
            return self.content(&content, range);
        }
        let signature = self.next_signature;
        self.next_signature += 1;
        let place = format!("location: {}/{}?signature={signature}\r\n", self.second, escape(path));
        reply(302, format!("{place}x-linked-etag: \"{}\"\r\nx-linked-size: {}\r\n", sha256(&content), content.len()), "Found")
    }

    /// The host that large files are on.
    pub fn second(&mut self, path: &str, range: Option<String>) -> Reply {
        let (path, signature) = path.split_once("?signature=").unwrap_or((path, "0"));
        if signature.parse::<u64>().unwrap() < self.oldest_signature {
            return reply(403, "", "expired");
        }
        let content = self.files[unescape(&path[1..]).as_str()].clone();
        self.content(&content, range)
    }

    fn content(&self, content: &[u8], range: Option<String>) -> Reply {
        let tag = format!("etag: W/\"{}\"\r\n", &sha256(content)[..40]);
        let Some(range) = range.filter(|_| self.has_ranges) else {
            return Reply { is_content: true, ..reply(200, tag, content) };
        };
        let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).expect("a range");
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        if first >= content.len() {
            return reply(416, "", "");
        }
        let last = last.min(content.len() - 1);
        let head = format!("{tag}content-range: bytes {first}-{last}/{}\r\n", content.len());
        Reply { is_content: true, ..reply(206, head, &content[first..=last]) }
    }

    /// A page of the files below `folder`, which has an entry of its own as folders have.
    fn tree(&self, folder: &str, query: &str, path: &str) -> Reply {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let is_deep = query.contains("recursive=true");
        let below = self.files.iter().filter_map(|(path, content)| Some((path, path.strip_prefix(&prefix)?, content)));
        let entries: Vec<String> = below
            .filter(|(_, rest, _)| is_deep || !rest.contains('/'))
            .map(|(path, _, content)| {
                let (size, sha) = (content.len(), sha256(content));
                let large =
                    format!(",\"size\":134,\"oid\":\"{}\",\"lfs\":{{\"oid\":\"{sha}\",\"size\":{size},\"pointerSize\":134}}", &sha[..40]);
                let rest = if size >= self.large { large } else { format!(",\"size\":{size},\"oid\":\"{}\"", &sha[..40]) };
                format!("{{\"type\":\"file\",\"path\":\"{path}\"{rest}}}")
            })
            .chain([format!("{{\"type\":\"directory\",\"path\":\"{prefix}folder.parquet\",\"oid\":\"0\",\"size\":0}}")])
            .collect();
        let from: usize = query.split("cursor=").nth(1).map_or(0, |cursor| cursor.parse().unwrap());
        let to = entries.len().min(from + self.page_size);
        let own = query.split("&cursor").next().unwrap_or("");
        let link = format!("link: <{path}?{own}&cursor={to}>; rel=\"next\"\r\n");
        reply(200, if to < entries.len() { link } else { String::new() }, format!("[{}]", entries[from..to].join(",")))
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn escape(path: &str) -> String {
    path.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

fn unescape(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or("").as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("UTF-8")
}
