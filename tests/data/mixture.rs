//! Documents of several sources: their shares, their order, what is held out.

use crate::common::{message, watched};
use crate::memory::{Store, numbered, of_source, open, rest, set, spec, take, text, texts};
use bowline::data::source::Record;
use bowline::data::{AtEnd, Drawn, HeldOut, Mixture, MixtureSpec, Part, sample};

#[test]
fn shares_are_the_weights() {
    let (a, b, c) = (Store::numbered("a", 50), Store::numbered("b", 50), Store::numbered("c", 50));
    let spec = spec(&[(&a, 75.0), (&b, 20.0), (&c, 5.0)]);
    let count = 40_000;
    let drawn = take(&mut open(&spec), count);
    for (source, share) in [0.75, 0.2, 0.05].into_iter().enumerate() {
        let got = drawn.iter().filter(|drawn| drawn.source == source).count() as f64;
        // Draws are independent, so a count is binomial with deviation sqrt(n p (1 - p)); beyond five deviations lies less
        // than one seed in a million, and this seed is fixed.
        let (mean, deviation) = (count as f64 * share, (count as f64 * share * (1.0 - share)).sqrt());
        assert!((got - mean).abs() <= 5.0 * deviation, "source {source}: got {got}, want {mean} within {}", 5.0 * deviation);
    }
    // Draws do not depend on what was drawn before: a follows b as often as it follows a.
    let after_b = drawn.windows(2).filter(|pair| pair[0].source == 1).map(|pair| pair[1].source).collect::<Vec<_>>();
    let (n, got) = (after_b.len() as f64, after_b.iter().filter(|&&source| source == 0).count() as f64);
    assert!((got - 0.75 * n).abs() <= 5.0 * (n * 0.75 * 0.25).sqrt(), "{got} of {n}");
}

#[test]
fn each_epoch_has_every_training_document_once_in_another_order() {
    let a = Store::numbered("a", 53);
    let mut mixture = open(&spec(&[(&a, 1.0)]));
    let epoch = numbered("a", 53, false);
    let epochs: Vec<Vec<Drawn>> = (0..3).map(|_| take(&mut mixture, epoch.len())).collect();
    for documents in &epochs {
        assert_eq!(set(&texts(documents)), epoch, "no document is lost, none comes twice, none is held out");
    }
    assert_ne!(texts(&epochs[0]), texts(&epochs[1]));
    assert_ne!(texts(&epochs[1]), texts(&epochs[2]));
    assert_eq!(mixture.state().places[0].epoch, 2, "the last epoch is over when another document is wanted");
    take(&mut mixture, 1);
    let place = mixture.state().places[0];
    assert_eq!((place.epoch, place.documents, place.used), (3, 3 * epoch.len() as u64 + 1, 1));
}

#[test]
fn blocks_are_shuffled_by_themselves() {
    let a = Store::numbered("a", 53);
    let mut plain = spec(&[(&a, 1.0)]);
    plain.at_end = AtEnd::Stop;
    let shuffled = rest(&mut open(&plain));
    plain.shuffle_buffer = 1;
    let ordered = rest(&mut open(&plain));
    let want: Vec<String> = (0..53).filter(|at| at % 5 != 2).map(|at| text("a", at)).collect();
    assert_eq!(texts(&ordered), want, "a buffer of 1 keeps the order");
    assert_ne!(texts(&shuffled), texts(&ordered));
    for (got, want) in shuffled.chunks(10).zip(ordered.chunks(10)) {
        assert_eq!(set(&texts(got)), set(&texts(want)), "a block has ten neighbours");
    }
    let other = MixtureSpec { seed: 43, shuffle_buffer: 10, ..plain.clone() };
    assert_ne!(texts(&rest(&mut open(&other))), texts(&shuffled), "another seed, another order");
    assert_eq!(set(&texts(&rest(&mut open(&MixtureSpec { shuffle_buffer: 1000, ..plain })))), numbered("a", 53, false));
}

#[test]
fn every_state_leads_to_the_same_documents() {
    let (a, b) = (Store::numbered("a", 23), Store::numbered("b", 31));
    let spec = spec(&[(&a, 3.0), (&b, 1.0)]);
    let mut straight = open(&spec);
    let steps: Vec<_> = (0..150).map(|_| (straight.state(), take(&mut straight, 1).remove(0))).collect();
    let documents: Vec<&Drawn> = steps.iter().map(|(_, drawn)| drawn).collect();
    for at in 0..120 {
        let mut resumed = open(&spec);
        resumed.restore(&steps[at].0);
        let got = take(&mut resumed, 30);
        assert_eq!(got.iter().collect::<Vec<_>>(), documents[at..at + 30], "from document {at}");
        assert_eq!(resumed.state(), steps[at + 30].0);
    }
}

#[test]
fn going_on_reads_one_block_of_each_source_at_most() {
    let (a, b) = (Store::numbered("a", 1000), Store::numbered("b", 1000));
    let spec = spec(&[(&a, 3.0), (&b, 1.0)]);
    let mut straight = open(&spec);
    // Ten training documents stand among at most thirteen.
    let block = 13;
    for _ in 0..60 {
        take(&mut straight, 7);
        let state = straight.state();
        let mut resumed = open(&spec);
        a.take_reads();
        b.take_reads();
        resumed.restore(&state);
        assert_eq!((a.take_reads(), b.take_reads()), (0, 0), "nothing is read before a document is wanted");
        let first = take(&mut resumed, 1).remove(0);
        let (drawn, other) = if first.source == 0 { (&a, &b) } else { (&b, &a) };
        assert!((1..=block).contains(&drawn.take_reads()), "one block of the source that is drawn");
        assert_eq!(other.take_reads(), 0, "nothing of the other");
    }
}

#[test]
fn held_out_documents_are_the_others_each_once() {
    let (a, b) = (Store::numbered("a", 53), Store::numbered("b", 20));
    let mut spec = spec(&[(&a, 1.0), (&b, 1.0)]);
    for at_end in [AtEnd::Stop, AtEnd::Repeat, AtEnd::Drop] {
        spec.at_end = at_end;
        let held_out = rest(&mut Mixture::open(&spec, Part::HeldOut).unwrap());
        assert_eq!(held_out.len(), 15, "all sources are read to their end, whatever training does there");
        assert_eq!(set(&of_source(&held_out, 0)), numbered("a", 53, true));
        assert_eq!(set(&of_source(&held_out, 1)), numbered("b", 20, true));
        assert!(held_out[..8].iter().any(|drawn| drawn.source == 1), "they are mixed");
    }
    spec.held_out = HeldOut::SkipTokens { tokens: 10 };
    assert_eq!(rest(&mut Mixture::open(&spec, Part::HeldOut).unwrap()), []);
    spec.at_end = AtEnd::Drop;
    assert_eq!(rest(&mut open(&spec)).len(), 73, "nothing is held out of training then");
}

#[test]
fn a_sample_is_the_start_of_training_and_never_more_than_there_is() {
    let (a, b) = (Store::numbered("a", 40), Store::numbered("b", 40));
    let mut spec = spec(&[(&a, 1.0), (&b, 1.0)]);
    let want = take(&mut open(&spec), 30);
    let got = watched(|watch| sample(&spec, 60, watch)).unwrap();
    assert_eq!(got, texts(&want)[..got.len()]);
    let size = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    assert!(size(&got) >= 60 && size(&got[..got.len() - 1]) < 60);
    let all = watched(|watch| sample(&spec, usize::MAX, watch)).unwrap();
    assert_eq!(all.len(), 64, "every training document once");
    spec.sources.push(Store::new("ids", vec![Record::Tokens(vec![1]); 9]).source(5.0));
    let want = "it holds token ids, a tokenizer is trained on text; set data.tokenizer to the one that made them";
    assert_eq!(
        message(watched(|watch| sample(&spec, usize::MAX, watch))).split_once(": ").unwrap().1,
        want,
        "ids are no text to learn from"
    );
}
