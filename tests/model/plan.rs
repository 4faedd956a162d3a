//! What the core says of a plan that does not fit: always the path of the field.

use bowline::plan::Plan;
use serde_json::{Value, json};

use crate::common::*;

fn error(change: impl FnOnce(&mut Value)) -> String {
    let mut plan = OLMOE.json();
    change(&mut plan);
    Plan::parse(&plan.to_string()).expect_err("the plan is broken").to_string()
}

fn bank<'a>(plan: &'a mut Value, id: &str) -> &'a mut Value {
    plan["banks"].as_array_mut().and_then(|banks| banks.iter_mut().find(|b| b["id"] == id)).expect("bank")
}

#[test]
fn a_plan_survives_its_json() {
    for recompute in [Recompute::Nothing, Recompute::Experts, Recompute::Sites] {
        let plan = Micro { recompute, ..OLMOE }.plan();
        assert_eq!(plan.train.recompute, recompute);
        assert_eq!(Plan::parse(&plan.to_json().expect("json")).expect("valid"), plan);
    }
}

#[test]
fn every_fault_is_named_by_its_path() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 18] = [
        (|p| p["format"] = json!(1), "(format)"),
        (|p| p["train"]["colour"] = json!(1), "(train.colour)"),
        (|p| drop(p["train"].as_object_mut().and_then(|t| t.remove("batch"))), "missing field `batch`"),
        (|p| p["train"]["recompute"] = json!("all"), "(train.recompute)"),
        (|p| p["train"]["seqLen"] = json!(65), "wanted at most model.maxSeqLen = 64 (train.seqLen)"),
        (|p| bank(p, "router.1")["options"]["topK"] = json!(5), "wanted at most the number of experts, 4 (banks[11].options.topK)"),
        (|p| bank(p, "router.1")["shape"]["E"] = json!(5), "routes to 5 experts, bank \"experts.0\" has 4 (sites[1].router)"),
        (|p| bank(p, "router.1")["options"]["colour"] = json!(5), "(router.1.options.colour)"),
        (|p| bank(p, "attention.0")["shape"]["P"] = json!(3), "wanted an even number (rotary embedding) (banks[4].shape.P)"),
        (|p| bank(p, "attention.0")["shape"]["Hkv"] = json!(3), "wanted a divisor of H = 2 (banks[4].shape.Hkv)"),
        (|p| bank(p, "experts.0")["uses"] = json!(3), "the sites use \"experts.0\" 2 times"),
        (|p| bank(p, "experts.0")["lrDivisor"] = json!(0.0), "wanted a positive number (banks[7].lrDivisor)"),
        (|p| bank(p, "experts.0")["shape"] = json!({"E": 4, "D": 8}), "(banks[7].shape)"),
        (|p| p["sites"][2]["experts"] = json!("norm.9"), "no bank is called \"norm.9\" (sites[2].experts)"),
        (|p| p["sites"][2]["adapter"] = json!("router.2"), "wanted Adapter (sites[2].adapter)"),
        (|p| p["sites"][2]["experts"] = json!("router.2"), "wanted Experts (sites[2].experts)"),
        (|p| p["sites"][2]["router"] = json!(null), "wanted one of them (sites[2])"),
        (|p| p["sites"][2]["feedForward"] = json!("experts.0"), "wanted one of them (sites[2])"),
    ];
    for (change, wanted) in cases {
        let got = error(change);
        assert!(got.starts_with("Cannot use the plan: ") && got.contains(wanted), "got {got:?}, wanted {wanted:?}");
    }
}

#[test]
fn a_dense_site_has_a_bank_of_its_kind_and_no_router() {
    assert_eq!(MIXED.plan().sites[1].feed_forward.as_deref(), Some("feed_forward.0"));
    let error = |change: fn(&mut Value)| {
        let mut plan = MIXED.json();
        change(&mut plan);
        Plan::parse(&plan.to_string()).expect_err("the plan is broken").to_string()
    };
    let says = error(|p| p["sites"][0]["feedForward"] = json!("experts.1"));
    assert!(says.contains("wanted FeedForward (sites[0].feedForward)"), "{says}");
    let says = error(|p| p["sites"][0]["feedForward"] = json!(null));
    assert!(says.contains("wanted one of them (sites[0])"), "{says}");
    let says = error(|p| bank(p, "feed_forward.0")["shape"]["F"] = json!(0));
    assert!(says.contains("is 0, wanted at least 1"), "{says}");
}

#[test]
fn an_adapter_has_the_widths_of_its_attention() {
    let mut plan = LORA.json();
    bank(&mut plan, "adapter.1")["shape"]["Hkv"] = json!(1);
    let got = Plan::parse(&plan.to_string()).expect_err("the plan is broken").to_string();
    assert_eq!(got, "Cannot use the plan: has Hkv = 1, bank \"attention.0\" has 2 (sites[1].adapter)");
    let mut plan = LORA.json();
    bank(&mut plan, "adapter.1")["shape"]["R"] = json!(0);
    let got = Plan::parse(&plan.to_string()).expect_err("the plan is broken").to_string();
    assert!(got.contains("is 0, wanted at least 1") && got.contains("shape.R"), "{got}");
}
