//! Initial weights: bounds and spreads, and independence of what else is in the model.

use bowline::layout::{Layout, ParamSpec};
use bowline::model::init::values;

use crate::common::*;

fn spec(micro: &Micro, name: &str) -> ParamSpec {
    let layout = Layout::new(&micro.plan()).expect("checked");
    layout.params[layout.find(name).expect("parameter")].clone()
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |a, &x| f64::from(x.abs()).max(a))
}

#[test]
fn each_matrix_is_uniform_within_its_own_bound() {
    // D = 8, F = 6, or 10 where it is dense, gain 1. Fused, gate and up are one matrix of 2F rows; apart, two of F.
    let dense = "feed_forward.0.gate_up";
    let cases = [
        (OLMOE, "experts.0.gate_up", 12),
        (VANILLA, "experts.0.gate_up", 6),
        (MIXED, dense, 20),
        (Micro { slices: "split", ..MIXED }, dense, 10),
    ];
    for (micro, name, rows) in cases {
        let values = values(&spec(&micro, name), 1);
        let bound = (6.0 / (rows + 8) as f64).sqrt();
        let got = largest(&values);
        // At least 160 draws: the largest is within a tenth of the bound but for a chance of 1e-7.
        assert!(got <= bound + 1e-7 && got > 0.9 * bound, "{got} and {bound}");
    }
}

#[test]
fn an_adapter_starts_as_nothing_with_an_inner_matrix_of_deviation_one_over_root_d() {
    let micro = Micro { adapter_rank: 4096, ..LORA };
    let a = values(&spec(&micro, "adapter.0.a"), 1);
    let n = a.len() as f64;
    let mean = a.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let deviation = (a.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n - mean * mean).sqrt();
    let want = 8f64.powf(-0.5);
    // 32768 draws: the mean's own deviation is want / 181, that of the deviation want / 256; five of them.
    assert!(mean.abs() <= 5.0 * want / 181.0, "{mean}");
    assert!((deviation - want).abs() <= 5.0 * want / 256.0, "{deviation} and {want}");
    for part in ["b_q", "b_k"] {
        assert!(values(&spec(&micro, &format!("adapter.0.{part}")), 1).iter().all(|&x| x == 0.0), "{part}");
    }
}

#[test]
fn a_parameter_starts_the_same_whatever_else_is_in_the_model_and_differs_by_seed() {
    let alone = values(&spec(&VANILLA, "attention.0.wq"), 5);
    assert!(alone == values(&spec(&LORA, "attention.0.wq"), 5), "adapters and sharing change nothing");
    assert!(alone != values(&spec(&VANILLA, "attention.0.wq"), 6), "another seed");
    assert!(alone != values(&spec(&VANILLA, "attention.1.wq"), 5), "another bank");
}
