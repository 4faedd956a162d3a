//! What is held out.

use crate::common::{message, words};
use bowline::data::{Document, HeldOut, split};
use proptest::prelude::*;

fn documents(texts: &[String]) -> Vec<Document> {
    texts.iter().enumerate().map(|(index, text)| Document { index, path: format!("{index}.txt").into(), text: text.clone() }).collect()
}

#[test]
fn documents_are_held_out_by_their_number_among_the_files() {
    let mut list = documents(&(0..7).map(|at| format!("text {at}")).collect::<Vec<_>>());
    list.remove(1); // as if the second file had been too short
    let parts = split(&list, HeldOut::Documents { every: 3, index: 2 }).unwrap();
    assert_eq!(parts.held_out, ["text 2", "text 5"]);
    assert_eq!(parts.train, ["text 0", "text 3", "text 4", "text 6"]);
}

#[test]
fn a_tail_is_cut_after_the_line_before_the_fraction() {
    let text = "one line\n".repeat(100);
    let list = documents(std::slice::from_ref(&text));
    let parts = split(&list, HeldOut::Tail { fraction: 0.107 }).unwrap();
    // 900 * 0.893 = 803.7 bytes: the 89th line ends at 801.
    assert_eq!((parts.train, parts.held_out), (vec![&text[..801]], vec![&text[801..]]));
}

#[test]
fn a_tail_takes_whole_documents_and_the_end_of_one() {
    let texts = [words(0, 50), words(1, 50), words(2, 50), words(3, 50)];
    let list = documents(&texts);
    let parts = split(&list, HeldOut::Tail { fraction: 0.4 }).unwrap();
    assert_eq!(parts.train[..2], [texts[0].as_str(), texts[1].as_str()]);
    assert_eq!(*parts.held_out.last().unwrap(), texts[3]);
    assert_eq!(format!("{}{}", parts.train[2], parts.held_out[0]), texts[2]);
    assert!(parts.train[2].ends_with('\n'));
}

#[test]
fn wrong_rules_name_their_field() {
    let list = documents(&[words(0, 50)]);
    for (rule, says) in [
        (HeldOut::Documents { every: 1, index: 0 }, "it is 1, at least 2 leaves something to train on (data.heldOut.every)"),
        (HeldOut::Documents { every: 4, index: 4 }, "it is 4, but document number modulo 4 is below 4 (data.heldOut.index)"),
        (HeldOut::Tail { fraction: 0.0 }, "it is 0, wanted a number between 0 and 1 (data.heldOut.fraction)"),
        (HeldOut::Tail { fraction: 1.0 }, "it is 1, wanted a number between 0 and 1 (data.heldOut.fraction)"),
        (HeldOut::Tail { fraction: f64::NAN }, "it is NaN, wanted a number between 0 and 1 (data.heldOut.fraction)"),
    ] {
        assert_eq!(message(split(&list, rule)), format!("Cannot use the plan: {says}"));
    }
}

proptest! {
    #[test]
    fn a_tail_loses_nothing(texts in prop::collection::vec("[a-z\u{e9}\u{6f22}\n ]{1,200}", 1..6), fraction in 0.001f64..0.999) {
        let list = documents(&texts);
        let parts = split(&list, HeldOut::Tail { fraction }).unwrap();
        let joined: String = parts.train.iter().chain(&parts.held_out).copied().collect();
        prop_assert_eq!(joined, texts.concat());
        prop_assert!(parts.train.iter().chain(&parts.held_out).all(|text| !text.is_empty()));
    }
}
