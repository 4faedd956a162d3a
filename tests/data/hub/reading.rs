//! Bytes of files on the hub: the same as those of the files, asked for sparingly, with the token at home.

use super::server::{LARGE, Server};
use super::{at, file, files, noise, options, read, read_all};
use crate::common::{Folder, message};
use proptest::prelude::*;

#[test]
fn any_read_gives_the_bytes_of_the_file() {
    let folder = Folder::new();
    let (large, small, one) = (noise(300_001), noise(LARGE - 1), noise(1));
    let server = Server::start(&[("large.parquet", large.clone()), ("small.parquet", small.clone()), ("one.parquet", one.clone())]);
    let (options, waited) = options(&server, &folder.cache());
    for (path, content) in [("large.parquet", &large), ("small.parquet", &small), ("one.parquet", &one)] {
        let file = file(&options, &at(path));
        assert_eq!(file.len(), content.len() as u64);
        for count in [content.len(), 1, 7, 8192, 65_536] {
            let from = content.len().saturating_sub(count);
            assert_eq!(read(&*file, from as u64, count.min(content.len())).unwrap(), content[from..], "{path}: the last {count}");
            assert_eq!(read_all(&*file, count.max(5)).unwrap(), *content, "{path} by {count}");
        }
        assert!(read(&*file, file.len(), 0).unwrap().is_empty());
        let says = message(read(&*file, file.len() - 1, 2));
        assert!(says.contains(file.name()) && says.contains("cut short"), "{says}");
        assert!(read(&*file, u64::MAX, 2).is_err());
    }
    assert_eq!(waited.take().as_millis(), 0);
}

#[test]
fn an_empty_file_needs_no_request() {
    let folder = Folder::new();
    let server = Server::start(&[("empty.parquet", Vec::new())]);
    let (options, _) = options(&server, &folder.cache());
    let file = file(&options, &at("empty.parquet"));
    assert!(file.is_empty());
    assert!(read_all(&*file, 10).unwrap().is_empty());
    assert_eq!(server.count("/resolve/"), 0);
}

#[test]
fn the_token_stays_with_the_endpoint() {
    let folder = Folder::new();
    let server = Server::start(&[("a.parquet", noise(100_000)), ("b.parquet", noise(100))]);
    server.world().token = Some("hf_secret".into());
    let (mut options, _) = options(&server, &folder.cache());
    options.token = Some("hf_secret".into());
    for file in files(&options, &at("*")).unwrap() {
        read_all(&*file, 10_000).unwrap();
    }
    let seen = server.world().seen.clone();
    assert!(seen.iter().any(|seen| seen.is_second), "large files are elsewhere");
    for seen in &seen {
        assert_eq!(seen.token.is_some(), !seen.is_second, "{seen:?}");
    }
    options.token = None;
    let says = message(files(&options, &at("*")));
    assert!(says.contains("gated or private") && says.contains("HF_TOKEN") && says.contains("HTTP 401"), "{says}");
}

#[test]
fn many_small_reads_are_few_requests() {
    let folder = Folder::new();
    let content = noise(3_000_000);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (options, _) = options(&server, &folder.cache());
    let file = file(&options, &at("a.jsonl"));
    assert_eq!(read_all(&*file, 1000).unwrap(), content);
    assert_eq!(server.world().sent, content.len() as u64, "every byte once");
    let seconds = server.world().seen.iter().filter(|seen| seen.is_second).count();
    assert!(seconds < 70, "{seconds} requests for 3000 reads");
    assert_eq!(server.count("/resolve/"), 1, "the place of the redirect is kept");
}

#[test]
fn reads_in_turns_at_several_places_are_told_apart() {
    let folder = Folder::new();
    let content = noise(4_000_000);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (options, _) = options(&server, &folder.cache());
    let file = file(&options, &at("a.jsonl"));
    for step in 0..500 {
        for place in [0, 1_000_000, 2_000_000] {
            let from = place + step * 2000;
            assert_eq!(read(&*file, from as u64, 2000).unwrap(), content[from..from + 2000]);
        }
    }
    let (sent, requests) = server.traffic();
    assert!(sent <= 3_400_000 && requests < 200, "{sent} bytes for 3000000, {requests} requests");
}

#[test]
fn a_large_read_is_fetched_as_it_is() {
    let folder = Folder::new();
    let content = noise(20_000_000);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (options, _) = options(&server, &folder.cache());
    let file = file(&options, &at("a.jsonl"));
    assert_eq!(read(&*file, 123, 17_000_000).unwrap(), content[123..17_000_123]);
    assert_eq!(server.world().sent, 17_000_000);
    assert_eq!(server.world().seen.iter().filter(|seen| seen.is_second).count(), 3, "in pieces of 8 MiB");
}

#[test]
fn a_signature_that_runs_out_is_renewed_at_once() {
    let folder = Folder::new();
    let content = noise(500_000);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (options, waited) = options(&server, &folder.cache());
    let file = file(&options, &at("a.jsonl"));
    read(&*file, 0, 10_000).unwrap();
    server.world().oldest_signature = 1;
    assert_eq!(read_all(&*file, 50_000).unwrap(), content);
    assert_eq!(server.count("/resolve/"), 2);
    assert!(waited.take().is_zero(), "nothing failed");
}

#[test]
fn a_server_without_ranges_serves_small_files_only() {
    let folder = Folder::new();
    let content = noise(50_000);
    let server = Server::start(&[("a.jsonl", content.clone()), ("b.jsonl", noise((16 << 20) + 1))]);
    server.world().has_ranges = false;
    let (options, _) = options(&server, &folder.cache());
    let small = file(&options, &at("a.jsonl"));
    assert_eq!(read(&*small, 30_000, 15_000).unwrap(), content[30_000..45_000]);
    assert_eq!(read_all(&*small, 7000).unwrap(), content);
    let says = message(read(&*file(&options, &at("b.jsonl")), 5, 10));
    assert!(says.contains("does not serve parts of files") && says.contains("HF_ENDPOINT"), "{says}");
}

#[test]
fn a_file_that_changes_is_refused() {
    let folder = Folder::new();
    for (large, changed) in [(1, 100_000), (1, 99_999), (1, 4000), (usize::MAX, 100_000), (usize::MAX, 99_999), (usize::MAX, 4000)] {
        let server = Server::start(&[("a.jsonl", noise(100_000))]);
        server.world().large = large;
        let (options, _) = options(&server, &folder.cache());
        let file = file(&options, &at("a.jsonl"));
        read(&*file, 0, 10).unwrap();
        server.world().files.insert("a.jsonl".into(), noise(changed));
        let says = message(read_all(&*file, 100));
        assert!(says.contains(file.name()) && (says.contains("changed while it was read") || says.contains("416")), "{says}");
    }
}

#[test]
fn threads_may_share_a_file() {
    let folder = Folder::new();
    let content = noise(400_000);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (options, _) = options(&server, &folder.cache());
    let file = file(&options, &at("a.jsonl"));
    std::thread::scope(|scope| {
        for count in [3000, 5000, 70_000] {
            let (file, content) = (&file, &content);
            scope.spawn(move || assert_eq!(read_all(&**file, count).unwrap(), *content));
        }
    });
    assert_eq!(server.world().sent, content.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn reads_in_any_order_give_the_bytes(reads in proptest::collection::vec((0_usize..200_000, 0_usize..40_000), 1..40)) {
        let folder = Folder::new();
        let content = noise(200_000);
        let server = Server::start(&[("a.jsonl", content.clone())]);
        server.world().per_mille = 50;
        let (options, _) = options(&server, &folder.cache());
        let opened = [(); 2].map(|()| file(&options, &at("a.jsonl")));
        for (number, (from, count)) in reads.into_iter().enumerate() {
            let to = content.len().min(from + count);
            prop_assert_eq!(&read(&*opened[number % 2], from as u64, to - from).unwrap()[..], &content[from..to]);
        }
    }
}
