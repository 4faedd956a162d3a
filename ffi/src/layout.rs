//! From the plan to named parameters: which tensors exist, their shapes, who updates them, and which of them each site
//! uses. Structure comes from the plan alone, never from names.

use crate::backend::{AttentionDims, RouterRule};
use crate::error::Result;
use crate::plan::*;

/// Index into the list of parameters.
pub type ParamId = usize;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Ones,
    Zeros,
    /// Xavier-uniform of each matrix on its own: bound `gain * sqrt(6 / (rows + cols))`. Parts of a matrix that Muon
    /// orthogonalises apart are matrices of their own.
    Xavier {
        gain: f64,
    },
    Normal {
        std: f64,
    },
}

/// One tensor: `count` matrices (rows, cols), one after the other. A gain is one row.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    pub name: String,
    pub shape: Vec<usize>,
    pub count: usize,
    pub rows: usize,
    pub cols: usize,
    pub optimizer: OptimizerKind,
    /// How many equal parts of a matrix's rows Muon orthogonalises apart.
    pub muon_parts: usize,
    pub lr_divisor: f64,
    pub init: Init,
}

impl ParamSpec {
    /// Number of elements.
    pub fn size(&self) -> usize {
        self.count * self.rows * self.cols
    }
}

#[derive(Clone, Copy, Debug)]
pub struct NormUse {
    pub w: ParamId,
    pub eps: f32,
}

/// A low-rank addition to q and k: `x a^T b_q^T` and `x a^T b_k^T` (LoRA, arXiv 2106.09685).
#[derive(Clone, Copy, Debug)]
pub struct AdapterUse {
    /// (R, D)
    pub a: ParamId,
    /// (H*P, R)
    pub b_q: ParamId,
    /// (Hkv*P, R)
    pub b_k: ParamId,
    /// `R`
    pub rank: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct AttentionUse {
    pub norm: NormUse,
    pub wq: ParamId,
    pub wk: ParamId,
    pub wv: ParamId,
    pub wo: ParamId,
    /// Gains of q and k, and whether they span heads or whole vectors.
    pub qk_norm: Option<(ParamId, ParamId)>,
    pub adapter: Option<AdapterUse>,
    pub options: AttentionOptions,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl AttentionUse {
    /// `H*P`
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// `Hkv*P`
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Lengths of the gains of q and k, if there are any.
    pub fn norm_widths(&self) -> (usize, usize) {
        match self.options.qk_norm {
            QkNorm::Head => (self.head_dim, self.head_dim),
            QkNorm::Whole | QkNorm::None => (self.q_width(), self.kv_width()),
        }
    }

    /// The shape of a call over (batch, seq).
    pub fn dims(&self, batch: usize, seq: usize) -> AttentionDims {
        AttentionDims { batch, seq, heads: self.heads, kv_heads: self.kv_heads, head_dim: self.head_dim }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MoeUse {
    pub norm: NormUse,
    pub w_router: ParamId,
    pub rule: RouterRule,
    pub gate_up: ParamId,
    pub down: ParamId,
    /// `F`
    pub expert_width: usize,
    /// Index of the expert bank in the plan; equal for tied sites.
    pub bank: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct DenseUse {
    pub norm: NormUse,
    /// (2F, D)
    pub gate_up: ParamId,
    /// (D, F)
    pub down: ParamId,
    /// `F`
    pub width: usize,
}

/// The second half of a site.
#[derive(Clone, Copy, Debug)]
pub enum FfnUse {
    Moe(MoeUse),
    Dense(DenseUse),
}

impl FfnUse {
    /// The half with a router, if it is one.
    pub fn moe(&self) -> Option<&MoeUse> {
        match self {
            FfnUse::Moe(moe) => Some(moe),
            FfnUse::Dense(_) => None,
        }
    }

    /// The dense half, if it is one.
    pub fn dense(&self) -> Option<&DenseUse> {
        match self {
            FfnUse::Moe(_) => None,
            FfnUse::Dense(dense) => Some(dense),
        }
    }
}

/// What one site uses.
#[derive(Clone, Copy, Debug)]
pub struct SiteUse {
    pub attention: AttentionUse,
    pub ffn: FfnUse,
}

/// All parameters and who uses them.
#[derive(Clone, Debug)]
pub struct Layout {
    pub params: Vec<ParamSpec>,
    pub sites: Vec<SiteUse>,
    pub embedding: ParamId,
    pub head: ParamId,
    pub final_norm: NormUse,
    pub width: usize,
    pub vocab: usize,
    /// A token whose embedding row gets no gradient.
    pub padding_token: Option<usize>,
}

impl Layout {
    /// Lays out a checked plan.
    pub fn new(plan: &Plan) -> Result<Layout> {
        let mut params = Vec::new();
        let mut first = Vec::new(); // the first parameter of each bank
        for bank in &plan.banks {
            first.push(params.len());
            bank_params(&mut params, bank)?;
        }
        let bank_of = |id: &str| plan.banks.iter().position(|b| b.id == id).expect("checked");
        let norm = |id: &str| -> Result<NormUse> {
            let bank = bank_of(id);
            Ok(NormUse { w: first[bank], eps: plan.banks[bank].options::<NormOptions>()?.eps })
        };
        let mut sites = Vec::new();
        for site in &plan.sites {
            let attention = bank_of(&site.attention);
            let options: AttentionOptions = plan.banks[attention].options()?;
            let w = first[attention];
            let (heads, kv_heads, head_dim) =
                (plan.banks[attention].dim("H"), plan.banks[attention].dim("Hkv"), plan.banks[attention].dim("P"));
            sites.push(SiteUse {
                attention: AttentionUse {
                    norm: norm(&site.attention_norm)?,
                    wq: w,
                    wk: w + 1,
                    wv: w + 2,
                    wo: w + 3,
                    qk_norm: (options.qk_norm != QkNorm::None).then_some((w + 4, w + 5)),
                    adapter: site.adapter.as_deref().map(|id| {
                        let bank = bank_of(id);
                        AdapterUse { a: first[bank], b_q: first[bank] + 1, b_k: first[bank] + 2, rank: plan.banks[bank].dim("R") }
                    }),
                    options,
                    heads,
                    kv_heads,
                    head_dim,
                },
                ffn: ffn_use(plan, site, &first, norm(&site.ffn_norm)?)?,
            });
        }
        Ok(Layout {
            params,
            sites,
            embedding: first[bank_of(&plan.model.embedding)],
            head: first[bank_of(&plan.model.head)],
            final_norm: norm(&plan.model.final_norm)?,
            width: plan.model.width,
            vocab: plan.model.vocab,
            padding_token: plan.model.padding_token,
        })
    }

    /// The parameter called `name`.
    pub fn find(&self, name: &str) -> Option<ParamId> {
        self.params.iter().position(|p| p.name == name)
    }

    /// Number of sites that have a router.
    pub fn routed_sites(&self) -> usize {
        self.sites.iter().filter(|site| site.ffn.moe().is_some()).count()
    }

    /// Sites grouped by the expert bank they share, only groups of at least two, in order of first use.
    pub fn tied_groups(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
        for (i, moe) in self.sites.iter().enumerate().filter_map(|(i, site)| Some((i, site.ffn.moe()?))) {
            match groups.iter_mut().find(|(bank, _)| *bank == moe.bank) {
                Some((_, sites)) => sites.push(i),
                None => groups.push((moe.bank, vec![i])),
            }
        }
        groups.into_iter().map(|(_, sites)| sites).filter(|sites| sites.len() > 1).collect()
    }
}

/// The second half of a site of a checked plan; `first` is the first parameter of each bank.
fn ffn_use(plan: &Plan, site: &Site, first: &[ParamId], norm: NormUse) -> Result<FfnUse> {
    let bank_of = |id: &str| plan.banks.iter().position(|b| b.id == id).expect("checked");
    if let Some(id) = &site.feed_forward {
        let bank = bank_of(id);
        return Ok(FfnUse::Dense(DenseUse { norm, gate_up: first[bank], down: first[bank] + 1, width: plan.banks[bank].dim("F") }));
    }
    let bank = |id: &Option<String>| id.as_deref().map(bank_of).expect("checked");
    let (router, experts) = (bank(&site.router), bank(&site.experts));
    let route: RouterOptions = plan.banks[router].options()?;
    Ok(FfnUse::Moe(MoeUse {
        norm,
        w_router: first[router],
        rule: RouterRule { experts: plan.banks[router].dim("E"), top_k: route.top_k, score: route.score, renormalize: route.renormalize },
        gate_up: first[experts],
        down: first[experts] + 1,
        expert_width: plan.banks[experts].dim("F"),
        bank: experts,
    }))
}

fn bank_params(params: &mut Vec<ParamSpec>, bank: &Bank) -> Result<()> {
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
