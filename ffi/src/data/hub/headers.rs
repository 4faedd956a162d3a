//! The parts of HTTP that the hub's answers are read by. Everything here comes from outside and may be anything.

use std::time::Duration;

/// `text` as a path of a URL: all but letters, digits, `-`, `_`, `.`, `~` and `/` is escaped.
pub fn escape_path(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// `scheme://host[:port]` of a URL; `None` for anything but http and https.
pub fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.find(['/', '?', '#']).map_or(rest, |at| &rest[..at]);
    // A name and password before the host would make two hosts look like one.
    let is_plain = matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains('@');
    is_plain.then(|| &url[..scheme.len() + 3 + host.len()])
}

/// Where `location` leads from `url`. A step from https to http is refused.
pub fn redirect(url: &str, location: &str) -> Option<String> {
    let from = origin(url)?;
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(format!("{from}{location}"));
    }
    let to = origin(location)?;
    let is_downgrade = from.starts_with("https:") && to.starts_with("http:");
    (!is_downgrade).then(|| location.into())
}

/// First byte, last byte and length of the file, of `bytes 0-9/100`.
pub fn content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, total.trim().parse().ok()?))
}

/// The address of the next page in a `Link` header.
pub fn next_page(value: &str) -> Option<&str> {
    value.split('<').skip(1).find_map(|part| {
        let (url, parameters) = part.split_once('>')?;
        let mut parameters = parameters.split([';', ',']).map(str::trim);
        parameters.any(|parameter| matches!(parameter, "rel=\"next\"" | "rel=next")).then_some(url)
    })
}

/// How long to wait by `Retry-After` in seconds, or by the `t` of a `RateLimit` header. Dates are not read: the pause
/// that grows by itself stands in for them.
pub fn wait_time(retry_after: Option<&str>, rate_limit: Option<&str>) -> Option<Duration> {
    let seconds = retry_after.and_then(|value| value.trim().parse().ok());
    let reset = || rate_limit?.split([';', ',']).find_map(|part| part.trim().strip_prefix("t=")?.parse().ok());
    seconds.or_else(reset).map(Duration::from_secs)
}

/// An ETag without its quotes and mark of weakness.
pub fn etag(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix("W/").unwrap_or(value).trim_matches('"')
}
