//! What must hold of a plan before anything is allocated from it.

use super::*;

/// Letters a bank of each kind must have in its shape.
fn letters(kind: BankKind) -> &'static [&'static str] {
    match kind {
        BankKind::Embedding | BankKind::Head => &["D", "V"],
        BankKind::Norm => &["D"],
        BankKind::Attention => &["D", "H", "Hkv", "P"],
        BankKind::Router => &["D", "E"],
        BankKind::Experts => &["D", "E", "F"],
        BankKind::FeedForward => &["D", "F"],
        BankKind::Adapter => &["D", "H", "Hkv", "P", "R"],
    }
}

fn at_least_one(field: &str, value: usize) -> Result<()> {
    if value < 1 { Err(Error::plan(field, "is 0, wanted at least 1")) } else { Ok(()) }
}

fn positive(field: &str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { Err(Error::plan(field, format!("is {value}, wanted a positive number"))) }
}

fn within(field: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if value >= low && value <= high { Ok(()) } else { Err(Error::plan(field, format!("is {value}, wanted {low} to {high}"))) }
}

impl Plan {
    /// Fails on the first thing that does not fit.
    pub(super) fn check(&self) -> Result<()> {
        if self.format != PLAN_FORMAT {
            return Err(Error::plan("format", format!("is {}, this version reads {PLAN_FORMAT}", self.format)));
        }
        self.check_numbers()?;
        for (i, bank) in self.banks.iter().enumerate() {
            self.check_bank(i, bank)?;
        }
        self.check_sites()
    }

    fn check_numbers(&self) -> Result<()> {
        at_least_one("model.vocab", self.model.vocab)?;
        at_least_one("model.width", self.model.width)?;
        if let Some(token) = self.model.padding_token.filter(|&token| token >= self.model.vocab) {
            return Err(Error::plan("model.paddingToken", format!("is {token}, wanted below model.vocab = {}", self.model.vocab)));
        }
        at_least_one("train.batch", self.train.batch)?;
        at_least_one("train.accumulation", self.train.accumulation)?;
        at_least_one("train.seqLen", self.train.seq_len)?;
        at_least_one("train.steps", self.train.steps as usize)?;
        if self.train.seq_len > self.model.max_seq_len {
            return Err(Error::plan(
                "train.seqLen",
                format!("is {}, wanted at most model.maxSeqLen = {}", self.train.seq_len, self.model.max_seq_len),
            ));
        }
        if self.train.steps > self.schedule.steps {
            return Err(Error::plan("train.steps", format!("is {}, the schedule ends at {}", self.train.steps, self.schedule.steps)));
        }
        let o = &self.optimizer;
        positive("optimizer.muon.lr", o.muon.lr)?;
        positive("optimizer.adamw.lr", o.adamw.lr)?;
        positive("optimizer.clipNorm", o.clip_norm)?;
        positive("optimizer.adamw.eps", o.adamw.eps)?;
        within("optimizer.muon.momentum", o.muon.momentum, 0.0, 1.0)?;
        within("optimizer.adamw.beta1", o.adamw.beta1, 0.0, 1.0)?;
        within("optimizer.adamw.beta2", o.adamw.beta2, 0.0, 1.0)?;
        within("optimizer.muon.weightDecay", o.muon.weight_decay, 0.0, f64::MAX)?;
        within("optimizer.adamw.weightDecay", o.adamw.weight_decay, 0.0, f64::MAX)?;
        within("schedule.finalFraction", self.schedule.final_fraction, 0.0, 1.0)?;
        within("losses.balance.coefficient", self.losses.balance.coefficient, 0.0, f64::MAX)?;
        within("losses.z.coefficient", self.losses.z.coefficient, 0.0, f64::MAX)?;
        if self.losses.mask_last_target && self.train.seq_len < 2 {
            return Err(Error::plan("losses.maskLastTarget", "leaves no target when train.seqLen is 1"));
        }
        Ok(())
    }

    fn check_bank(&self, i: usize, bank: &Bank) -> Result<()> {
        let at = |field: &str| format!("banks[{i}].{field}");
        if self.banks[..i].iter().any(|b| b.id == bank.id) {
            return Err(Error::plan(at("id"), format!("\"{}\" names two banks", bank.id)));
        }
        let wanted = letters(bank.kind);
        if !bank.shape.keys().map(String::as_str).eq(wanted.iter().copied()) {
            return Err(Error::plan(at("shape"), format!("has {:?}, wanted {wanted:?}", bank.shape.keys())));
        }
        for (letter, &size) in &bank.shape {
            at_least_one(&at(&format!("shape.{letter}")), size)?;
        }
        if bank.dim("D") != self.model.width {
            return Err(Error::plan(at("shape.D"), format!("is {}, wanted model.width = {}", bank.dim("D"), self.model.width)));
        }
        positive(&at("lrDivisor"), bank.lr_divisor)?;
        positive(&at("initGain"), bank.init_gain)?;
        if self.optimizer.kind == OptimizerKind::Adamw && bank.optimizer != OptimizerKind::Adamw {
            return Err(Error::plan(at("optimizer"), "is muon, but optimizer.kind is adamw"));
        }
        self.check_kind(bank, &at)
    }

    fn check_kind(&self, bank: &Bank, at: &dyn Fn(&str) -> String) -> Result<()> {
        match bank.kind {
            BankKind::Adapter => {
                let NoOptions {} = bank.options()?;
            }
            BankKind::Embedding | BankKind::Head => {
                let NoOptions {} = bank.options()?;
                if bank.dim("V") != self.model.vocab {
                    return Err(Error::plan(at("shape.V"), format!("is {}, wanted model.vocab = {}", bank.dim("V"), self.model.vocab)));
                }
            }
            BankKind::Norm => positive(&at("options.eps"), bank.options::<NormOptions>()?.eps.into())?,
            BankKind::Attention => {
                let options: AttentionOptions = bank.options()?;
                positive(&at("options.eps"), options.eps.into())?;
                positive(&at("options.ropeTheta"), options.rope_theta.into())?;
                if let Some(clamp) = options.clamp {
                    positive(&at("options.clamp"), clamp.into())?;
                }
                let (heads, kv_heads, p) = (bank.dim("H"), bank.dim("Hkv"), bank.dim("P"));
                if heads % kv_heads != 0 {
                    return Err(Error::plan(at("shape.Hkv"), format!("is {kv_heads}, wanted a divisor of H = {heads}")));
                }
                if p % 2 != 0 {
                    return Err(Error::plan(at("shape.P"), format!("is {p}, wanted an even number (rotary embedding)")));
                }
            }
            BankKind::Router => {
                let options: RouterOptions = bank.options()?;
                at_least_one(&at("options.topK"), options.top_k)?;
                if options.top_k > bank.dim("E") {
                    return Err(Error::plan(
                        at("options.topK"),
                        format!("is {}, wanted at most the number of experts, {}", options.top_k, bank.dim("E")),
                    ));
                }
                if options.renormalize && options.score == RouterScore::TopKThenSoftmax {
                    return Err(Error::plan(at("options.renormalize"), "has no effect after top-k-then-softmax, wanted false"));
                }
            }
            BankKind::Experts | BankKind::FeedForward => {
                let FfnOptions { muon_slices: _ } = bank.options()?;
            }
        }
        Ok(())
    }

    fn check_sites(&self) -> Result<()> {
        let mut uses = vec![0; self.banks.len()];
        uses[self.bank_index(&self.model.embedding, "model.embedding", BankKind::Embedding)?] += 1;
        let head_kind = if self.model.head == self.model.embedding { BankKind::Embedding } else { BankKind::Head };
        uses[self.bank_index(&self.model.head, "model.head", head_kind)?] += 1;
        uses[self.bank_index(&self.model.final_norm, "model.finalNorm", BankKind::Norm)?] += 1;
        let mut top_k_of = BTreeMap::new();
        if self.sites.is_empty() {
            return Err(Error::plan("sites", "is empty, wanted at least one site"));
        }
        for (i, site) in self.sites.iter().enumerate() {
            let find = |name: &str, id: &str, kind| self.bank_index(id, &format!("sites[{i}].{name}"), kind);
            let ffn = match (&site.router, &site.experts, &site.feed_forward) {
                (Some(router), Some(experts), None) => {
                    let (router, experts) = (find("router", router, BankKind::Router)?, find("experts", experts, BankKind::Experts)?);
                    self.check_routing(i, router, experts, &mut top_k_of)?;
                    vec![router, experts]
                }
                (None, None, Some(dense)) => vec![find("feedForward", dense, BankKind::FeedForward)?],
                _ => {
                    return Err(Error::plan(
                        format!("sites[{i}]"),
                        "has neither router with experts nor feedForward alone, wanted one of them",
                    ));
                }
            };
            let attention = find("attention", &site.attention, BankKind::Attention)?;
            let adapter = site.adapter.as_ref().map(|id| find("adapter", id, BankKind::Adapter)).transpose()?;
            if let Some(adapter) = adapter {
                self.check_adapter(i, adapter, attention)?;
            }
            let norms = [find("attentionNorm", &site.attention_norm, BankKind::Norm)?, find("ffnNorm", &site.ffn_norm, BankKind::Norm)?];
            for bank in [attention].into_iter().chain(ffn).chain(norms).chain(adapter) {
                uses[bank] += 1;
            }
        }
        for (i, bank) in self.banks.iter().enumerate() {
            if bank.uses != uses[i] || uses[i] == 0 {
                return Err(Error::plan(
                    format!("banks[{i}].uses"),
                    format!("is {}, the sites use \"{}\" {} times", bank.uses, bank.id, uses[i]),
                ));
            }
        }
        Ok(())
    }

    /// A router has an output for each expert; all sites of a bank choose equally many of its experts.
    fn check_routing(&self, site: usize, router: usize, experts: usize, top_k_of: &mut BTreeMap<usize, (usize, usize)>) -> Result<()> {
        let fault = |reason| Err(Error::plan(format!("sites[{site}].router"), reason));
        let (wanted, got) = (self.banks[experts].dim("E"), self.banks[router].dim("E"));
        if wanted != got {
            return fault(format!("routes to {got} experts, bank \"{}\" has {wanted}", self.banks[experts].id));
        }
        let top_k = self.banks[router].options::<RouterOptions>()?.top_k;
        match top_k_of.insert(experts, (top_k, site)).filter(|(k, _)| *k != top_k) {
            Some((other, first)) => fault(format!("chooses {top_k} experts of a bank of which sites[{first}] chooses {other}")),
            None => Ok(()),
        }
    }

    /// An adapter adds to the q and k of its site's attention, so it has their widths.
    fn check_adapter(&self, site: usize, adapter: usize, attention: usize) -> Result<()> {
        let (adapter, attention) = (&self.banks[adapter], &self.banks[attention]);
        match ["H", "Hkv", "P"].into_iter().find(|letter| adapter.dim(letter) != attention.dim(letter)) {
            Some(letter) => Err(Error::plan(
                format!("sites[{site}].adapter"),
                format!("has {letter} = {}, bank \"{}\" has {}", adapter.dim(letter), attention.id, attention.dim(letter)),
            )),
            None => Ok(()),
        }
    }
}
