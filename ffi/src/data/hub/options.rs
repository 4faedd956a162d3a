//! How to reach a hub.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const ENDPOINT: &str = "https://huggingface.co";
/// Enough for some tens of shards, little beside a disk that holds checkpoints.
const CACHE_BYTES: u64 = 32 << 30;

/// Where the hub is, who asks, and where fetched bytes are kept.
#[derive(Clone)]
pub struct HubOptions {
    /// `http(s)://host[:port][/path]` without a slash at the end.
    pub endpoint: String,
    /// Sent to the endpoint only, never to where it redirects.
    pub token: Option<String>,
    pub cache_dir: PathBuf,
    /// Bound on the cache, checksums included.
    pub cache_bytes: u64,
    /// Failed requests in a row after which reading gives up.
    pub attempts: u32,
    /// For a connection, and for each wait for bytes on it.
    pub timeout: Duration,
    /// Commits of revisions that are known already, such as those that a run began with: `Hub::commits` gave them.
    pub commits: BTreeMap<String, String>,
    /// Of the random part of pauses.
    pub seed: u64,
    /// Waits between attempts, a tenth of a second at most each time.
    pub sleep: Arc<dyn Fn(Duration) + Send + Sync>,
    /// Whether to give up: asked all the time, while it holds everything fails with `Error::Cancelled`.
    pub is_cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl HubOptions {
    /// By the variables that Hugging Face's own programs know: `HF_ENDPOINT`, `HF_TOKEN`, and `HF_HOME` with a file
    /// `token` in it. `variable` looks one up.
    pub fn from_environment(cache_dir: &Path, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_string()).filter(|value| !value.is_empty());
        let home = || set("HF_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".cache/huggingface")));
        let token = set("HF_TOKEN").or_else(|| Some(std::fs::read_to_string(home()?.join("token")).ok()?.trim().to_string()));
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            let reason = "it has characters that no token has (HF_TOKEN, or the file token in HF_HOME); copy it anew";
            return Err(Error::Argument(format!("Cannot use the hub's token: {reason}")));
        }
        Ok(Self {
            endpoint: set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into()).trim_end_matches('/').into(),
            token: token.filter(|token| !token.is_empty()),
            cache_dir: cache_dir.into(),
            cache_bytes: CACHE_BYTES,
            attempts: 8,
            timeout: Duration::from_secs(30),
            commits: BTreeMap::new(),
            // Processes that start together shall not wait in step.
            seed: std::process::id().into(),
            sleep: Arc::new(std::thread::sleep),
            is_cancelled: Arc::new(|| false),
        })
    }
}
