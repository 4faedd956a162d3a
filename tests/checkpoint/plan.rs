//! A checkpoint belongs to the plan it was made with.

use crate::common::{PLAN, reason, write_step};
use bowline::checkpoint::{Checkpoint, first_difference};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn another_plan_is_refused_with_the_first_key_that_differs() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    let checkpoint = Checkpoint::open(&folder).unwrap();
    for (from, to, says) in [
        ("\"batch\":16", "\"batch\":8", "train.batch is 16 there and 8 here"),
        ("router.1", "router.7", "sites[1].router is \"router.1\" there and \"router.7\" here"),
        (",{\"router\":\"router.1\"}", "", "sites[1] is {\"router\":\"router.1\"} there and missing here"),
        ("\"steps\":500,", "\"steps\":500,\"accumulation\":2,", "train.accumulation is missing there and 2 here"),
        ("\"name\":\"nano\",", "", "name is \"nano\" there and missing here"),
    ] {
        let other = PLAN.replace(from, to);
        assert_ne!(other, PLAN);
        assert_eq!(reason(checkpoint.require_plan(&other), &folder), format!("it is from another manifest: {says}"));
    }
    assert_eq!(reason(checkpoint.require_plan("[]"), &folder).matches("the whole is {").count(), 1);
}

#[test]
fn the_same_plan_in_other_words_is_the_same() {
    let parent = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&write_step(parent.path(), 3).unwrap()).unwrap();
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(PLAN).unwrap()).unwrap();
    assert_ne!(pretty, PLAN);
    checkpoint.require_plan(&pretty).unwrap();
}

#[test]
fn long_values_are_shortened() {
    let says = first_difference(&json!({ "name": "\u{e9}".repeat(100) }), &json!({ "name": "x" })).unwrap();
    assert_eq!(says, format!("name is \"{}... there and \"x\" here", "\u{e9}".repeat(59)));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<i32>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn there_is_a_difference_exactly_when_values_differ(a in value(), b in value()) {
        prop_assert_eq!(first_difference(&a, &b).is_none(), a == b);
        prop_assert_eq!(first_difference(&a, &a.clone()), None);
    }
}
