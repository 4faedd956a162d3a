//! What files an address stands for, and at which commit.

use super::server::{COMMIT, Fault, LARGE, Server};
use super::{at, file, files, noise, options, read_all};
use crate::common::{Folder, message, watched};
use bowline::data::Watch;
use bowline::data::hub::{Hub, HubOptions};
use bowline::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn names(files: &[Arc<dyn bowline::data::source::ReadAt>]) -> Vec<String> {
    files.iter().map(|file| file.name().to_string()).collect()
}

#[test]
fn a_dataset_is_listed_in_pages_at_a_commit() {
    let folder = Folder::new();
    let paths: Vec<String> = (0..25).map(|at| format!("data/{:02}.parquet", (at * 7) % 25)).collect();
    let server = Server::start(&paths.iter().map(|path| (path.as_str(), noise(LARGE + path.len()))).collect::<Vec<_>>());
    server.world().page_size = 4;
    let (options, _) = options(&server, &folder.cache());
    let listed = files(&options, "hf://datasets/org/set").unwrap();
    let wanted: Vec<String> = (0..25).map(|at| format!("hf://datasets/org/set@{COMMIT}/data/{at:02}.parquet")).collect();
    assert_eq!(names(&listed), wanted, "in order of names, folders left out");
    assert_eq!(server.count("/tree/"), 7, "26 entries in pages of 4");
    server.world().commit = COMMIT.replace('0', "f");
    assert_eq!(listed[3].len(), (LARGE + paths[3].len()) as u64);
    read_all(&*listed[3], 500).unwrap();
    let moved = server.world().seen.iter().any(|seen| seen.path.contains("/resolve/main/") || seen.path.contains("ffff"));
    assert!(!moved, "a branch that moves on does not move what was listed");
}

#[test]
fn identity_tells_commit_path_and_content_apart() {
    let folder = Folder::new();
    let server = Server::start(&[("a.parquet", noise(1500)), ("b.parquet", noise(1500)), ("c.parquet", noise(15))]);
    let (options, _) = options(&server, &folder.cache());
    let first: Vec<String> = files(&options, &at("*.parquet")).unwrap().iter().map(|file| file.identity()).collect();
    assert_eq!(files(&options, &at("*")).unwrap().iter().map(|file| file.identity()).collect::<Vec<_>>(), first);
    server.world().files.insert("b.parquet".into(), noise(1500));
    let second: Vec<String> = files(&options, &at("*")).unwrap().iter().map(|file| file.identity()).collect();
    assert!(first[0] == second[0] && first[1] != second[1] && first[2] == second[2], "{first:?} {second:?}");
    assert!(first.iter().all(|identity| identity.contains(COMMIT)), "{first:?}");
}

#[test]
fn only_the_folder_that_is_meant_is_listed() {
    let folder = Folder::new();
    let small = || noise(10);
    let server =
        Server::start(&[("faq/1.parquet", small()), ("faq/d/2.parquet", small()), ("math/1.parquet", small()), ("l/x.jsonl", small())]);
    let (options, _) = options(&server, &folder.cache());
    let count = |path: &str| files(&options, &at(path)).unwrap().len();
    assert_eq!((count("faq"), count("faq/*.parquet"), count("faq/d/2.parquet"), count("l"), count("*/1.parquet")), (2, 1, 1, 1, 2));
    assert_eq!(server.count("/faq?recursive=true"), 2);
    assert_eq!(server.count("/faq/d?recursive=false"), 1);
}

#[test]
fn names_with_other_characters_are_escaped() {
    let folder = Folder::new();
    let content = noise(5000);
    let server = Server::start(&[("data dir/caf\u{e9} #1%.parquet", content.clone())]);
    let (options, _) = options(&server, &folder.cache());
    assert_eq!(read_all(&*file(&options, &at("data dir")), 999).unwrap(), content);
}

#[test]
fn revisions_are_looked_up() {
    let folder = Folder::new();
    let server = Server::start(&[("a.parquet", noise(10))]);
    let (options, _) = options(&server, &folder.cache());
    for revision in ["main", "v1", COMMIT, "refs%2Fconvert%2Fparquet", "refs/convert/parquet"] {
        assert_eq!(
            file(&options, &format!("hf://datasets/org/set@{revision}")).name(),
            format!("hf://datasets/org/set@{COMMIT}/a.parquet")
        );
    }
    assert_eq!(server.count("/revision/refs%2Fconvert%2Fparquet?expand=sha"), 2);
}

#[test]
fn what_is_not_there_is_said() {
    let folder = Folder::new();
    let server = Server::start(&[("README.md", noise(10)), ("old.csv", noise(10))]);
    let (options, _) = options(&server, &folder.cache());
    let says = |address: &str| message(files(&options, address));
    let none = says("hf://datasets/org/set");
    assert!(none.contains("org/set") && none.contains("2 files (README.md, old.csv, ...)") && none.contains("glob"), "{none}");
    let revision = says("hf://datasets/org/set@v9");
    assert!(revision.contains("no such revision") && revision.contains("'@'"), "{revision}");
    let dataset = says("hf://datasets/org/other");
    assert!(dataset.contains("no such dataset") && dataset.contains("HF_TOKEN"), "{dataset}");
    server.world().faults.push_back(Fault::Answer(200, ""));
    server.world().faults.push_back(Fault::Answer(200, ""));
    assert!(says(&at("gone.parquet")).contains("none of its files"), "two answers that are not JSON, then the listing");
}

#[test]
fn a_hub_that_answers_nonsense_is_refused() {
    let folder = Folder::new();
    let server = Server::start(&[]);
    let (mut options, _) = options(&server, &folder.cache());
    server.world().commit = "<html>".into();
    let says = message(files(&options, "hf://datasets/org/set"));
    assert!(says.contains("'<html>' for a commit") && says.contains("HF_ENDPOINT"), "{says}");
    server.world().faults.extend(vec![Fault::Answer(200, ""); 8]);
    let says = message(files(&options, "hf://datasets/org/set"));
    assert!(says.contains("not the hub's JSON") && says.contains("8 attempts"), "{says}");
    server.world().faults.push_back(Fault::Answer(302, "location: ftp://x/\r\n"));
    assert!(message(files(&options, "hf://datasets/org/set")).contains("redirects to nowhere"));
    server.world().faults.extend(vec![Fault::Answer(307, "location: /again\r\n"); 9]);
    assert!(message(files(&options, "hf://datasets/org/set")).contains("more than 5 times"));
    options.endpoint = "hub.example".into();
    assert!(message(files(&options, "hf://datasets/org/set")).contains("wanted http(s)://<host> (HF_ENDPOINT)"));
}

#[test]
fn a_known_commit_is_read_although_the_branch_has_moved() {
    let folder = Folder::new();
    let server = Server::start(&[("a.parquet", noise(10)), ("b.parquet", noise(10))]);
    let (mut options, _) = options(&server, &folder.cache());
    let hub = Hub::open(&options).unwrap();
    let list = |hub: &Arc<Hub>, path: &str| watched(|watch| hub.files(&format!("hf://datasets/org/set{path}"), watch));
    let first = names(&list(&hub, "/a.parquet").unwrap());
    server.world().commit = "f".repeat(40);
    assert!(names(&list(&hub, "/b.parquet").unwrap())[0].contains(COMMIT), "one commit for all addresses of a revision");
    options.commits = hub.commits();
    assert_eq!(options.commits, [("hf://datasets/org/set@main".to_string(), COMMIT.to_string())].into());
    let asked = server.count("/revision/");
    let again = Hub::open(&options).unwrap();
    assert_eq!(names(&list(&again, "/a.parquet").unwrap()), first);
    assert_eq!((again.commits(), server.count("/revision/")), (options.commits.clone(), asked));
    let _ = list(&again, "@v1/a.parquet");
    assert_eq!(server.count("/revision/v1"), 1, "another revision is looked up");
}

#[test]
fn listing_can_be_cancelled() {
    let folder = Folder::new();
    let server = Server::start(&[("a.parquet", noise(10))]);
    let (options, _) = options(&server, &folder.cache());
    server.world().faults.push_back(Fault::Answer(503, ""));
    let cancel = Arc::new(AtomicBool::new(false));
    let asked = std::sync::atomic::AtomicU32::new(0);
    // The second time it is asked is while waiting after the failure.
    let progress = |_| {
        if asked.fetch_add(1, Ordering::Relaxed) == 1 {
            cancel.store(true, Ordering::Relaxed)
        }
    };
    let hub = Hub::open(&options).unwrap();
    assert!(matches!(hub.files("hf://datasets/org/set", &Watch::new(&progress, &cancel)), Err(Error::Cancelled)));
    assert_eq!(server.world().seen.len(), 1);
    let options = HubOptions { is_cancelled: Arc::new(|| true), ..options };
    let hub = Hub::open(&options).unwrap();
    assert!(matches!(watched(|watch| hub.files("hf://datasets/org/set", watch)), Err(Error::Cancelled)));
}
