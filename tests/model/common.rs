//! Micro plans and batches.

use bowline::cpu::Cpu;
use bowline::cuda::{Cuda, Kind, Precision};
use bowline::data::Watch;
use bowline::layout::Layout;
use bowline::model::Model;
use bowline::plan::Plan;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

pub const VOCAB: usize = 23;

/// What differs between micro models.
#[derive(Clone, Copy)]
pub struct Micro {
    pub layers: usize,
    pub group_size: usize,
    /// Whether the sites of a group share attention and router too, not the experts alone.
    pub all_tied: bool,
    /// 0: no adapters.
    pub adapter_rank: usize,
    /// Sites with a dense feed-forward in place of router and experts. Those of one group share it.
    pub dense: &'static [usize],
    pub experts: usize,
    pub top_k: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub qk_norm: &'static str,
    pub clamp: Option<f32>,
    pub score: &'static str,
    pub renormalize: bool,
    pub counts: &'static str,
    pub tied_head: bool,
    pub slices: &'static str,
    pub optimizer: &'static str,
    pub recompute: bool,
    pub batch: usize,
    pub accumulation: usize,
    pub seq_len: usize,
}

pub const OLMOE: Micro = Micro {
    layers: 3,
    group_size: 2,
    all_tied: false,
    adapter_rank: 0,
    dense: &[],
    experts: 4,
    top_k: 2,
    heads: 2,
    kv_heads: 2,
    qk_norm: "whole",
    clamp: Some(8.0),
    score: "softmax-then-top-k",
    renormalize: false,
    counts: "top-k",
    tied_head: false,
    slices: "fused",
    optimizer: "muon",
    recompute: false,
    batch: 2,
    accumulation: 1,
    seq_len: 7,
};

pub const QWEN3: Micro = Micro { qk_norm: "head", clamp: None, renormalize: true, heads: 4, kv_heads: 2, ..OLMOE };

pub const VANILLA: Micro =
    Micro { qk_norm: "head", clamp: None, score: "top-k-then-softmax", counts: "argmax", tied_head: true, slices: "split", ..OLMOE };

/// Everything shared by groups but norms, and an adapter for each site.
pub const LORA: Micro = Micro { all_tied: true, adapter_rank: 3, ..VANILLA };

/// Two of five sites are dense and share their feed-forward, beside a group that shares experts.
pub const MIXED: Micro = Micro { layers: 5, dense: &[0, 1], ..QWEN3 };

impl Micro {
    /// The plan as JSON, so that a test may break it. Groups of `group_size` share; norms and adapters are per site.
    pub fn json(&self) -> Value {
        let (d, p, f, dense_f) = (8, 4, 6, 10);
        let m = self.optimizer;
        let bank = |id: String, kind: &str, shape: Value, options: Value, optimizer: &str, uses: usize, divisor: f64| json!({"id": id, "kind": kind, "shape": shape, "options": options, "optimizer": optimizer, "lrDivisor": divisor, "uses": uses, "initGain": 1.0});
        let head = if self.tied_head { "embedding" } else { "head" };
        let mut banks = vec![
            bank("embedding".into(), "embedding", json!({"V": VOCAB, "D": d}), json!({}), "adamw", 1 + usize::from(self.tied_head), 1.0),
            bank("final_norm".into(), "norm", json!({"D": d}), json!({"eps": 1e-5}), "adamw", 1, 1.0),
        ];
        if !self.tied_head {
            banks.push(bank("head".into(), "head", json!({"V": VOCAB, "D": d}), json!({}), "adamw", 1, 1.0));
        }
        let mut sites = Vec::new();
        for i in 0..self.layers {
            let attention = json!({"qkNorm": self.qk_norm, "clamp": self.clamp, "ropeTheta": 10000.0, "eps": 1e-5});
            let router = json!({"topK": self.top_k, "score": self.score, "renormalize": self.renormalize});
            let norm = || json!({"eps": 1e-5});
            let (group, is_first) = (i / self.group_size, i % self.group_size == 0);
            let group_uses = self.group_size.min(self.layers - i);
            let is_dense = self.dense.contains(&i);
            // Of attention and router.
            let (n, uses) = if self.all_tied { (group, group_uses) } else { (i, 1) };
            banks.push(bank(format!("attention_norm.{i}"), "norm", json!({"D": d}), norm(), "adamw", 1, 1.0));
            let attention_shape = json!({"D": d, "H": self.heads, "Hkv": self.kv_heads, "P": p});
            if is_first || !self.all_tied {
                banks.push(bank(format!("attention.{n}"), "attention", attention_shape, attention, m, uses, 1.0));
            }
            banks.push(bank(format!("ffn_norm.{i}"), "norm", json!({"D": d}), norm(), "adamw", 1, 1.0));
            if !is_dense && (is_first || !self.all_tied) {
                banks.push(bank(format!("router.{n}"), "router", json!({"D": d, "E": self.experts}), router, "adamw", uses, 1.0));
            }
            if is_first {
                let (id, kind, shape) = if is_dense {
                    (format!("feed_forward.{group}"), "feed_forward", json!({"D": d, "F": dense_f}))
                } else {
                    (format!("experts.{group}"), "experts", json!({"D": d, "E": self.experts, "F": f}))
                };
                let options = json!({"muonSlices": self.slices});
                banks.push(bank(id, kind, shape, options, m, group_uses, (group_uses as f64).sqrt()));
            }
            let adapter = (self.adapter_rank > 0).then(|| format!("adapter.{i}"));
            if let Some(id) = &adapter {
                let shape = json!({"D": d, "H": self.heads, "Hkv": self.kv_heads, "P": p, "R": self.adapter_rank});
                banks.push(bank(id.clone(), "adapter", shape, json!({}), "adamw", 1, 1.0));
            }
            sites.push(json!({"attentionNorm": format!("attention_norm.{i}"), "attention": format!("attention.{n}"),
                "ffnNorm": format!("ffn_norm.{i}"),
                "router": (!is_dense).then(|| format!("router.{n}")), "experts": (!is_dense).then(|| format!("experts.{group}")),
                "feedForward": is_dense.then(|| format!("feed_forward.{group}")), "adapter": adapter}));
        }
        json!({
            "format": 3, "name": "micro", "seed": 7,
            "model": {"family": "micro", "vocab": VOCAB, "width": d, "embedding": "embedding", "head": head, "finalNorm": "final_norm",
                "maxSeqLen": 64, "paddingToken": null},
            "banks": banks, "sites": sites,
            "losses": {"balance": {"coefficient": 0.1, "counts": self.counts}, "z": {"coefficient": 0.01}, "maskLastTarget": false},
            "optimizer": {"kind": self.optimizer, "muon": {"lr": 0.02, "momentum": 0.95, "weightDecay": 0.1, "newtonSchulzSteps": 5},
                "adamw": {"lr": 0.002, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weightDecay": 0.01}, "clipNorm": 1.0},
            "schedule": {"warmupSteps": 2, "steps": 20, "finalFraction": 0.1},
            "train": {"steps": 20, "batch": self.batch, "accumulation": self.accumulation, "seqLen": self.seq_len, "recompute": self.recompute},
            "data": {"corpus": null, "files": ["text"], "sources": [], "separatorPlacement": "before", "shuffleBuffer": 10, "atEnd": "repeat",
                "onBadRecord": "stop", "tokenizer": {"kind": "train-bpe", "vocab": VOCAB}, "separator": "<|endoftext|>",
                "minCharacters": 50, "heldOut": {"kind": "tail", "fraction": 0.1}, "order": "shuffled-windows"},
            "checkpoint": {"every": 5, "keep": 2}, "eval": {"every": 5, "batches": null}
        })
    }

    pub fn plan(&self) -> Plan {
        Plan::parse(&self.json().to_string()).expect("a micro plan is valid")
    }

    /// A model with its initial weights; gains are moved off 1 and adapters off 0, so that gradients are tested away from it.
    pub fn model(&self, cpu: &Cpu) -> Model<Cpu> {
        let plan = self.plan();
        let mut model = Model::new(cpu, Layout::new(&plan).expect("checked"), plan.seed).expect("memory");
        let mut rng = rng(3);
        for (p, w) in model.layout.params.iter().zip(&mut model.weights) {
            if p.shape.len() == 1 || p.name.starts_with("adapter.") {
                w.iter_mut().for_each(|x| *x += 0.2 * centered(&mut rng));
            }
        }
        model
    }

    /// Windows (batch, S+1) of random tokens.
    pub fn windows(&self, seed: u64, batch: usize) -> Vec<i32> {
        let mut rng = rng(seed);
        (0..batch * (self.seq_len + 1)).map(|_| (rng.next_u32() as usize % VOCAB) as i32).collect()
    }
}

/// The emulated GPU, with working memory of its own; none where it is not built, which CI does not allow.
pub fn emulated(precision: Precision) -> Option<Cuda> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels/build");
    if std::env::var_os("BOWLINE_KERNELS").is_none() && !folder.join(Kind::Emulated.file()).is_file() && std::env::var_os("CI").is_none() {
        eprintln!("skip the emulated GPU: it is not built; run \"deno task build:emulated\"");
        return None;
    }
    Some(Cuda::open(Kind::Emulated, precision, &[folder]).expect("the emulated GPU"))
}

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Uniform in [-1, 1).
pub fn centered(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// Runs `body` with nobody watching.
pub fn unwatched<R>(body: impl FnOnce(&Watch) -> R) -> R {
    let cancel = std::sync::Arc::default();
    body(&Watch::new(&|_| {}, &cancel))
}

/// Compares a gradient with differences of `loss` along two directions: its own, which has the most signal, and a random one,
/// which sees parts that are missing. f32 rounding of a loss near 1 is about 2e-7, and a step moves it by about 4e-3: a bound of
/// 1 % is far above the noise and far below any wrong term.
pub fn check_gradient(name: &str, start: &[f32], grad: &[f32], largest_step: f64, bound: f64, mut loss: impl FnMut(&[f32]) -> f64) {
    let norm = grad.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    assert!(norm > 1e-6, "{name} has no gradient");
    let mut rng = rng(5);
    let root = (grad.len() as f64).sqrt();
    let along: Vec<f64> = grad.iter().map(|&g| f64::from(g) / norm).collect();
    let random: Vec<f64> = grad.iter().map(|_| f64::from(centered(&mut rng)) / root).collect();
    for (what, direction) in [("itself", along), ("a random direction", random)] {
        let want: f64 = grad.iter().zip(&direction).map(|(&g, v)| f64::from(g) * v).sum();
        let step = (4e-3 / want.abs()).clamp(1e-3, largest_step);
        let mut at = |part: f64| {
            let moved: Vec<f32> = start.iter().zip(&direction).map(|(&x, v)| (f64::from(x) + part * step * v) as f32).collect();
            loss(&moved)
        };
        // Richardson: two central differences without their common error of order step^2.
        let mut difference = |part: f64| (at(part) - at(-part)) / (2.0 * part * step);
        let got = (4.0 * difference(0.5) - difference(1.0)) / 3.0;
        let bound = bound * (want.abs() + norm / root) + 2e-4;
        assert!((got - want).abs() <= bound, "{name} along {what}: differences give {got}, the gradient {want} (bound {bound})");
    }
}
