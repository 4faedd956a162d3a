//! The parameters of each kind of bank.

use super::{Init, ParamSpec};
use crate::error::Result;
use crate::plan::*;

/// Appends the parameters of a bank of a checked plan.
pub(super) fn of_bank(params: &mut Vec<ParamSpec>, bank: &Bank) -> Result<()> {
    let gain = |part: &str, n: usize| ParamSpec {
        name: format!("{}.{part}", bank.id),
        shape: vec![n],
        count: 1,
        rows: 1,
        cols: n,
        optimizer: OptimizerKind::Adamw,
        muon_parts: 1,
        lr_divisor: 1.0,
        init: Init::Ones,
    };
    let matrices = |part: &str, shape: &[usize], muon_parts: usize| {
        let [lead @ .., rows, cols] = shape else { unreachable!("a matrix has two dims") };
        ParamSpec {
            name: format!("{}.{part}", bank.id),
            shape: shape.to_vec(),
            count: lead.iter().product(),
            rows: *rows,
            cols: *cols,
            optimizer: bank.optimizer,
            muon_parts,
            lr_divisor: bank.lr_divisor,
            init: Init::Xavier { gain: bank.init_gain },
        }
    };
    let d = bank.dim("D");
    match bank.kind {
        BankKind::Embedding | BankKind::Head => params.push(matrices("weight", &[bank.dim("V"), d], 1)),
        BankKind::Norm => params.push(gain("weight", d)),
        BankKind::Router => params.push(matrices("weight", &[bank.dim("E"), d], 1)),
        BankKind::Attention => {
            let (q, kv) = (bank.dim("H") * bank.dim("P"), bank.dim("Hkv") * bank.dim("P"));
            params.extend([
                matrices("wq", &[q, d], 1),
                matrices("wk", &[kv, d], 1),
                matrices("wv", &[kv, d], 1),
                matrices("wo", &[d, q], 1),
            ]);
            match bank.options::<AttentionOptions>()?.qk_norm {
                QkNorm::Whole => params.extend([gain("q_norm", q), gain("k_norm", kv)]),
                QkNorm::Head => params.extend([gain("q_norm", bank.dim("P")), gain("k_norm", bank.dim("P"))]),
                QkNorm::None => {}
            }
        }
        BankKind::Adapter => {
            let (p, r) = (bank.dim("P"), bank.dim("R"));
            // The product starts at 0, so that a site starts as its shared attention.
            params.extend([
                ParamSpec { init: Init::Normal { std: (d as f64).powf(-0.5) }, ..matrices("a", &[r, d], 1) },
                ParamSpec { init: Init::Zeros, ..matrices("b_q", &[bank.dim("H") * p, r], 1) },
                ParamSpec { init: Init::Zeros, ..matrices("b_k", &[bank.dim("Hkv") * p, r], 1) },
            ]);
        }
        BankKind::Experts | BankKind::FeedForward => {
            let f = bank.dim("F");
            let parts = match bank.options::<FfnOptions>()?.muon_slices {
                MuonSlices::Fused => 1,
                MuonSlices::Split => 2,
            };
            let lead = bank.shape.get("E").into_iter().copied();
            let shape = |rows: usize, cols: usize| lead.clone().chain([rows, cols]).collect::<Vec<_>>();
            params.extend([matrices("gate_up", &shape(2 * f, d), parts), matrices("down", &shape(d, f), 1)]);
        }
    }
    Ok(())
}
