//! Addresses and headers: what they mean, and that nothing from outside makes their readers panic.

use bowline::data::hub::headers::{content_range, escape_path, etag, next_page, origin, redirect, wait_time};
use bowline::data::hub::{Address, HubOptions};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

#[test]
fn an_address_names_a_dataset_a_revision_and_files() {
    for (text, dataset, revision, folder) in [
        ("hf://datasets/HuggingFaceTB/dclm-edu", "HuggingFaceTB/dclm-edu", "main", ("", true)),
        ("hf://datasets/a/b@v1", "a/b", "v1", ("", true)),
        ("hf://datasets/a/b@refs%2Fconvert%2Fparquet/default", "a/b", "refs/convert/parquet", ("default", true)),
        ("hf://datasets/a/b@refs/convert/parquet/default/train/*.parquet", "a/b", "refs/convert/parquet", ("default/train", true)),
        ("hf://datasets/a/b@refs/convert/parquet", "a/b", "refs/convert/parquet", ("", true)),
        ("hf://datasets/a/b/data/", "a/b", "main", ("data", true)),
        ("hf://datasets/a/b/data/x.jsonl.zst", "a/b", "main", ("data", false)),
        ("hf://datasets/a/b/x.parquet", "a/b", "main", ("", false)),
        ("hf://datasets/a/b/d/e[12]*/*.parquet", "a/b", "main", ("d", true)),
    ] {
        let address = Address::parse(text).unwrap();
        assert_eq!((address.dataset.as_str(), address.revision.as_str(), address.folder()), (dataset, revision, folder), "{text}");
    }
}

#[test]
fn an_address_that_names_no_dataset_is_refused() {
    for (text, why) in [
        ("hf://a/b", "not the address of a dataset"),
        ("hf://datasets/squad", "no organisation"),
        ("hf://datasets//b", "organisation or name"),
        ("hf://datasets/a/", "organisation or name"),
        ("hf://datasets/a/..", "organisation or name"),
        ("hf://datasets/a/b?c", "organisation or name"),
        ("hf://datasets/a/b@", "revision"),
        ("hf://datasets/a/b@refs/x/../y", "revision"),
        ("hf://datasets/a/b/***", "glob"),
    ] {
        let says = Address::parse(text).unwrap_err().to_string();
        assert!(says.contains(why) && says.contains(text) && says.contains("wanted hf://datasets/<org>/<name>"), "{says}");
    }
}

#[test]
fn globs_choose_as_in_a_shell() {
    let paths = ["b.parquet", "data/2.parquet", "data/1.parquet", "data/deep/3.parquet", "data/x.jsonl", "more.jsonl.gz", "README.md"];
    for (path, wanted) in [
        ("", vec!["b.parquet", "data/1.parquet", "data/2.parquet", "data/deep/3.parquet"]),
        ("/*.parquet", vec!["b.parquet"]),
        ("/**/*.parquet", vec!["b.parquet", "data/1.parquet", "data/2.parquet", "data/deep/3.parquet"]),
        ("/data/*.parquet", vec!["data/1.parquet", "data/2.parquet"]),
        ("/data/[2-9].parquet", vec!["data/2.parquet"]),
        ("/data/x.jsonl", vec!["data/x.jsonl"]),
        ("/none*", vec![]),
    ] {
        let address = Address::parse(&format!("hf://datasets/a/b{path}")).unwrap();
        assert_eq!(address.select(paths.into_iter()), wanted, "{path}");
    }
    let address = Address::parse("hf://datasets/a/b").unwrap();
    assert_eq!(address.select(paths[4..].iter().copied()), ["data/x.jsonl", "more.jsonl.gz"], "lines where there is no parquet");
}

#[test]
fn headers_are_read() {
    assert_eq!(content_range("bytes 5-9/100"), Some((5, 9, 100)));
    assert_eq!(content_range("bytes */100"), None);
    assert_eq!(next_page("<https://h/a?cursor=b%3D>; rel=\"next\""), Some("https://h/a?cursor=b%3D"));
    assert_eq!(next_page("<https://h/1>; rel=\"prev\", <https://h/3>; rel=\"next\""), Some("https://h/3"));
    assert_eq!(next_page("<https://h/1>; rel=\"last\""), None);
    assert_eq!(wait_time(Some("7"), Some("\"api\";r=0;t=9")), Some(Duration::from_secs(7)));
    assert_eq!(wait_time(Some("Wed, 21 Oct 2015 07:28:00 GMT"), None), None);
    assert_eq!(wait_time(None, Some("\"resolvers\";r=0;t=55")), Some(Duration::from_secs(55)));
    assert_eq!((etag("\"a\""), etag("W/\"a\""), etag("a")), ("a", "a", "a"));
    assert_eq!(escape_path("data/a b#?%\u{e9}.parquet"), "data/a%20b%23%3F%25%C3%A9.parquet");
}

#[test]
fn redirects_stay_on_http_and_never_lose_its_encryption() {
    let from = "https://hub.co/a/b?c";
    assert_eq!(redirect(from, "/d?e").as_deref(), Some("https://hub.co/d?e"));
    assert_eq!(redirect(from, "https://cdn.co/x").as_deref(), Some("https://cdn.co/x"));
    assert_eq!(redirect("http://hub.co/a", "https://cdn.co/x").as_deref(), Some("https://cdn.co/x"));
    for refused in ["http://cdn.co/x", "//cdn.co/x", "file:///etc/passwd", "https://", "x", "https://hub.co@evil.co/"] {
        assert_eq!(redirect(from, refused), None, "{refused}");
    }
    assert_eq!((origin("https://hub.co:8/x"), origin("https://hub.co?x")), (Some("https://hub.co:8"), Some("https://hub.co")));
}

#[test]
fn options_come_from_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let of = |variables: &[(&str, &str)]| {
        HubOptions::from_environment(Path::new("cache"), |name| Some(variables.iter().find(|variable| variable.0 == name)?.1.to_string()))
    };
    let home_is = ("HF_HOME", home.path().to_str().unwrap());
    let plain = of(&[home_is]).unwrap();
    assert_eq!((plain.endpoint.as_str(), plain.token), ("https://huggingface.co", None));
    std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
    assert_eq!(of(&[home_is]).unwrap().token.as_deref(), Some("hf_file"));
    let set = of(&[home_is, ("HF_TOKEN", " hf_variable "), ("HF_ENDPOINT", "http://mirror:80/hf/")]).unwrap();
    assert_eq!((set.endpoint.as_str(), set.token.as_deref()), ("http://mirror:80/hf", Some("hf_variable")));
    let says = of(&[("HF_TOKEN", "a\nb")]).err().unwrap().to_string();
    assert!(says.contains("HF_TOKEN") && !says.contains("a\nb"), "{says}");
}

proptest! {
    #[test]
    fn anything_can_be_read(text in "(hf://datasets/)?[a-z@/.*\\[\\]%{}-]{0,40}|\\PC{0,60}") {
        let _ = Address::parse(&text).map(|address| (address.folder().0.len(), address.select(["a/b.parquet", &text].into_iter()).len()));
        let _ = (content_range(&text), next_page(&text), wait_time(Some(&text), Some(&text)), origin(&text));
        let _ = (redirect("https://h/", &text), redirect(&text, "/a"), etag(&text).len(), escape_path(&text));
    }

    #[test]
    fn header_like_text_can_be_read(text in "(bytes |<|W/|t=|https?://)?[0-9a-z<>;,=\"/-]{0,40}") {
        let _ = (content_range(&text), next_page(&text), wait_time(Some(&text), Some(&text)), origin(&text), redirect(&text, &text), etag(&text));
    }
}
