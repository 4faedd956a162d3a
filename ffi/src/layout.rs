//! From the plan to named parameters: which tensors exist, their shapes, who updates them, and which of them each site
//! uses. Structure comes from the plan alone, never from names.

use crate::backend::RouterRule;
use crate::error::Result;
use crate::plan::*;

mod params;
mod uses;

pub use uses::{AdapterUse, AttentionUse, DenseUse, FfnUse, MoeUse, NormUse, SiteUse};

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
            params::of_bank(&mut params, bank)?;
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

    /// How many rows of the embedding's table a step of `tokens` tokens can touch, when these are fewer than all and nothing else
    /// has a gradient for the table.
    pub fn touched_rows(&self, tokens: usize) -> Option<usize> {
        let is_adamw = self.params[self.embedding].optimizer == OptimizerKind::Adamw;
        (is_adamw && self.embedding != self.head && tokens < self.vocab).then_some(tokens)
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
