//! The op list, over 400 lines so that it reads as one table: every numerical operation of the core, with its shapes and
//! whether it overwrites its output or adds into it. The model is written once against this trait; `cpu` and `cuda`
//! implement it.
//!
//! Letters: `B` batch, `S` sequence length, `T = B*S` tokens, `D` model width, `H` query heads, `Hkv` key/value heads,
//! `P` head dim, `V` vocabulary, `E` experts of a bank, `K` experts per token, `N = T*K` routed rows, `F` expert width.
//! Order of arguments: outputs, saved, inputs, dims. A gradient is `d_` and the name of what it belongs to.
//! All buffers are row-major. A buffer may be longer than the shape: only the leading elements are touched.
//! Same inputs give the same bits, whatever the number of threads.

use crate::error::{Error, Result};

mod memory;

pub use memory::{Memory, Meter};

/// Shape of one attention call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionDims {
    /// `B`
    pub batch: usize,
    /// `S`
    pub seq: usize,
    /// `H`
    pub heads: usize,
    /// `Hkv`, a divisor of `H`; query head `h` reads key/value head `h / (H / Hkv)`
    pub kv_heads: usize,
    /// `P`
    pub head_dim: usize,
}

/// Where the score function stands in the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterScore {
    /// Softmax over all `E`, then top-K; combine weights are the chosen scores.
    SoftmaxThenTopK,
    /// Top-K of the logits, then softmax over those K.
    TopKThenSoftmax,
}

/// How a router turns logits into choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterRule {
    /// `E`
    pub experts: usize,
    /// `K`
    pub top_k: usize,
    pub score: RouterScore,
    /// Divide the chosen scores by their sum (only with [`RouterScore::SoftmaxThenTopK`]).
    pub renormalize: bool,
}

/// Which choices count in the `f_e` of the load-balance loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceCounts {
    /// All K choices: `f_e = choices of e / (T*K)`.
    TopK,
    /// Only the first choice: `f_e = tokens whose best expert is e / T`.
    Argmax,
}

/// Coefficients of one router's auxiliary losses in the total, already divided by the number of sites and micro-steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterLoss {
    pub balance: f32,
    pub counts: BalanceCounts,
    pub z: f32,
}

/// What the router tells about one call: sums over its `T` tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouterStats {
    /// `T`
    pub tokens: usize,
    /// (E) choices of each expert
    pub tokens_per_expert: Vec<u64>,
    /// (E) tokens whose first choice the expert is
    pub top1_per_expert: Vec<u64>,
    /// (E) sum of the softmax over all `E`
    pub score_sum: Vec<f64>,
    /// sum of `logsumexp(logits)^2`
    pub z_sum: f64,
    /// sum of the entropy of the softmax, nats
    pub entropy_sum: f64,
    /// largest logit
    pub max_logit: f32,
}

impl RouterStats {
    /// (E) gradient of the balance loss, with its coefficient, by a score: `balance = E sum_e f_e p_e` with `p_e = sum_t score[t, e] / T`,
    /// and `f_e` held constant.
    pub fn balance_gradient(&self, rule: RouterRule, loss: RouterLoss) -> Vec<f32> {
        let (e, tokens) = (rule.experts as f64, self.tokens as f64);
        let (counts, choices) = match loss.counts {
            BalanceCounts::TopK => (&self.tokens_per_expert, tokens * rule.top_k as f64),
            BalanceCounts::Argmax => (&self.top1_per_expert, tokens),
        };
        counts.iter().map(|&count| (loss.balance as f64 * e * (count as f64 / choices) / tokens) as f32).collect()
    }
}

/// What the forward pass of a router leaves for its backward pass and for dispatch.
pub struct Routing<B: Memory> {
    /// (T, E) softmax over all `E`, whatever the rule
    pub scores: B::F,
    /// (T) logsumexp of the logits
    pub lse: B::F,
    /// (T, K) chosen experts, best first, ties to the lower id
    pub expert_ids: B::I,
    /// (T, K) factors applied at combine
    pub combine_weights: B::F,
}

/// Where every choice goes: one object read by forward and backward. Slot `t*K + k` is choice k of token t.
pub struct DispatchPlan<B: Memory> {
    /// (E+1) exclusive prefix sums of `tokens_per_expert`; `offsets[E] = N`
    pub offsets: B::I,
    /// (N) the slot that lies in a row; rows are sorted by expert, stable by slot
    pub slot_of_row: B::I,
    /// (N) the row where a slot lies: inverse of `slot_of_row`
    pub row_of_slot: B::I,
}

/// Numbers common to all AdamW updates of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamwStep {
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    pub weight_decay: f32,
    /// Number of this update, from 1 (bias correction).
    pub update: u64,
    /// Factor on every gradient (clipping).
    pub grad_scale: f32,
}

/// The gradient of a parameter.
pub enum Gradient<'a, B: Memory> {
    /// All its elements.
    Whole(&'a B::F),
    /// Those of a table's rows that may differ from 0. Only for a backend that [`Backend::takes_rows`].
    Rows(TableRows<'a, B>),
}

/// Rows (R, D) of a table (V, D) that is 0 elsewhere.
pub struct TableRows<'a, B: Memory> {
    /// (R, D)
    pub rows: &'a B::F,
    /// (V) which of `rows` a row of the table is; -1: none
    pub row_of_id: &'a [i32],
    /// `D`
    pub d: usize,
}

/// One parameter that AdamW updates.
pub struct AdamwUpdate<'a, B: Backend> {
    pub w: &'a mut B::F,
    /// First moment.
    pub m: &'a mut B::F,
    /// Second moment.
    pub v: &'a mut B::F,
    pub g: Gradient<'a, B>,
    /// First element in `w` and `g`, 0 where `g` is rows; `m` and `v` hold those of the update only.
    pub at: usize,
    /// Number of elements.
    pub n: usize,
    pub lr: f32,
}

/// Numbers common to all Muon updates of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MuonStep {
    pub momentum: f32,
    pub weight_decay: f32,
    pub newton_schulz_steps: u32,
    /// Factor on every gradient (clipping).
    pub grad_scale: f32,
}

/// One parameter that Muon updates: `count` matrices (rows, cols), one after the other.
pub struct MuonUpdate<'a, B: Backend> {
    pub w: &'a mut B::F,
    /// Momentum.
    pub m: &'a mut B::F,
    pub g: &'a B::F,
    /// First element in `w` and `g`; `m` holds the matrices of the update only.
    pub at: usize,
    pub count: usize,
    pub rows: usize,
    pub cols: usize,
    /// Already divided by the bank's tied divisor.
    pub lr: f32,
}

/// A device that can run the model.
pub trait Backend: Memory {
    /// Runs `work`, whose ops then start without the hand-over to the backend's threads that each would pay alone.
    fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        work()
    }

    /// Backends that work side by side, each on a sequence of its own, with buffers of this one.
    fn lanes(&self) -> Result<Vec<Self>>;

    // --- elementwise (cpu/elementwise.rs) ---

    /// Overwrites `out[..n]` with `value`.
    fn fill(&self, out: &mut Self::F, value: f32, n: usize) -> Result<()>;
    /// Overwrites `out[..n]` with `x[..n]`.
    fn copy(&self, out: &mut Self::F, x: &Self::F, n: usize) -> Result<()>;
    /// Adds `x[..n]` into `out[..n]`.
    fn add(&self, out: &mut Self::F, x: &Self::F, n: usize) -> Result<()>;
    /// Sum of squares of `x[at..at + n]`, in f64 over fixed blocks in ascending order.
    fn sum_squares(&self, x: &Self::F, at: usize, n: usize) -> Result<f64>;
    /// Whether a gradient may be given by rows, where all others are 0.
    fn takes_rows(&self) -> bool {
        false
    }
    /// `sum_squares` of the whole table, to the bit.
    fn sum_squares_of_rows(&self, _table: TableRows<'_, Self>) -> Result<f64> {
        Err(Error::Internal("this device takes no gradient by rows".into()))
    }

    // --- embedding ---

    /// Overwrites `out` (T, D) with the rows of `table` (V, D) named by `tokens` (T).
    fn embedding_forward(&self, out: &mut Self::F, table: &Self::F, tokens: &Self::I, t: usize, v: usize, d: usize) -> Result<()>;
    /// Adds into `d_table` (V, D); tokens in ascending order, a negative one adds nothing.
    fn embedding_backward(&self, d_table: &mut Self::F, d_out: &Self::F, tokens: &Self::I, t: usize, v: usize, d: usize) -> Result<()>;

    // --- rmsnorm ---

    /// Overwrites `out` (R, D): `x * rsqrt(mean(x^2) + eps) * w`, `w` (D).
    fn rmsnorm_forward(&self, out: &mut Self::F, x: &Self::F, w: &Self::F, rows: usize, d: usize, eps: f32) -> Result<()>;
    /// Adds into `d_x` (R, D) and into `d_w` (D). Reads `x` (R, D), `w` (D), `d_out` (R, D).
    fn rmsnorm_backward(
        &self,
        d_x: &mut Self::F,
        d_w: &mut Self::F,
        x: &Self::F,
        w: &Self::F,
        d_out: &Self::F,
        rows: usize,
        d: usize,
        eps: f32,
    ) -> Result<()>;

    // --- linear ---

    /// Overwrites `out` (R, O) with `x w^T`; `x` (R, I), `w` (O, I).
    fn linear_forward(&self, out: &mut Self::F, x: &Self::F, w: &Self::F, rows: usize, o: usize, i: usize) -> Result<()>;
    /// Adds `d_out w` into `d_x` (R, I).
    fn linear_backward_input(&self, d_x: &mut Self::F, d_out: &Self::F, w: &Self::F, rows: usize, o: usize, i: usize) -> Result<()>;
    /// Adds `d_out^T x` into `d_w` (O, I).
    fn linear_backward_weight(&self, d_w: &mut Self::F, d_out: &Self::F, x: &Self::F, rows: usize, o: usize, i: usize) -> Result<()>;

    /// `linear_forward` of a router, whose choices tell the smallest differences apart: in f32 also where other products are in bf16.
    fn router_linear_forward(&self, out: &mut Self::F, x: &Self::F, w: &Self::F, rows: usize, o: usize, i: usize) -> Result<()> {
        self.linear_forward(out, x, w, rows, o, i)
    }
    /// `linear_backward_input` of a router, in f32.
    fn router_linear_backward_input(&self, d_x: &mut Self::F, d_out: &Self::F, w: &Self::F, rows: usize, o: usize, i: usize) -> Result<()> {
        self.linear_backward_input(d_x, d_out, w, rows, o, i)
    }
    /// `linear_backward_weight` of a router, in f32.
    fn router_linear_backward_weight(
        &self,
        d_w: &mut Self::F,
        d_out: &Self::F,
        x: &Self::F,
        rows: usize,
        o: usize,
        i: usize,
    ) -> Result<()> {
        self.linear_backward_weight(d_w, d_out, x, rows, o, i)
    }

    // --- clamp ---

    /// Clamps `x[..n]` to `[-limit, limit]` in place.
    fn clamp_forward(&self, x: &mut Self::F, limit: f32, n: usize) -> Result<()>;
    /// Zeroes `d_x[..n]` in place where `|x| > limit`; `x` is the value before clamping.
    fn clamp_backward(&self, d_x: &mut Self::F, x: &Self::F, limit: f32, n: usize) -> Result<()>;

    // --- rope ---

    /// Rotates `x` (B, S, heads, P) in place, "rotate half": element j < P/2 pairs with j + P/2 at angle `pos * theta^(-2j/P)`; row s has position `start + s`.
    fn rope_forward(&self, x: &mut Self::F, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32) -> Result<()>;
    /// Rotates `d_x` back by the same angles, in place.
    fn rope_backward(&self, d_x: &mut Self::F, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32) -> Result<()>;

    // --- attention ---

    /// Causal attention, scale `P^-0.5`. Overwrites `out` (B, S, H, P) and `lse` (B, H, S). `q` (B, S, H, P), `k`, `v` (B, S, Hkv, P).
    fn attention_forward(
        &self,
        out: &mut Self::F,
        lse: &mut Self::F,
        q: &Self::F,
        k: &Self::F,
        v: &Self::F,
        dims: AttentionDims,
    ) -> Result<()>;
    /// Overwrites `d_q`, `d_k`, `d_v`. Never stores (S, S) for more than one head at a time.
    fn attention_backward(
        &self,
        d_q: &mut Self::F,
        d_k: &mut Self::F,
        d_v: &mut Self::F,
        out: &Self::F,
        lse: &Self::F,
        q: &Self::F,
        k: &Self::F,
        v: &Self::F,
        d_out: &Self::F,
        dims: AttentionDims,
    ) -> Result<()>;
    /// Attention of `dims.seq` new positions `start..` of one sequence (`dims.batch` = 1) over a cache. First writes `k`, `v` (S, Hkv, P) into
    /// `k_cache`, `v_cache` (capacity, Hkv, P) at row `start`; then overwrites `out` (S, H, P).
    fn attention_cached(
        &self,
        out: &mut Self::F,
        k_cache: &mut Self::F,
        v_cache: &mut Self::F,
        q: &Self::F,
        k: &Self::F,
        v: &Self::F,
        start: usize,
        dims: AttentionDims,
    ) -> Result<()>;

    // --- router ---

    /// Overwrites `routing` from `logits` (T, E) and returns the sums over tokens. Fails when a logit is not finite.
    fn router_forward(&self, routing: &mut Routing<Self>, logits: &Self::F, t: usize, rule: RouterRule) -> Result<RouterStats>;
    /// Overwrites `d_logits` (T, E): gradient through the combine weights (`d_combine_weights` (T, K)), plus that of the balance loss
    /// `E * sum_e f_e p_e` and of the z-loss `mean lse^2` over the `stats.tokens` tokens, with the coefficients of `loss`.
    fn router_backward(
        &self,
        d_logits: &mut Self::F,
        routing: &Routing<Self>,
        stats: &RouterStats,
        d_combine_weights: &Self::F,
        t: usize,
        rule: RouterRule,
        loss: RouterLoss,
    ) -> Result<()>;

    // --- dispatch ---

    /// Overwrites `plan` from `expert_ids` (T, K).
    fn dispatch_plan(&self, plan: &mut DispatchPlan<Self>, expert_ids: &Self::I, t: usize, k: usize, e: usize) -> Result<()>;
    /// Overwrites `rows` (N, D): `rows[r] = x[slot_of_row[r] / K]`.
    fn permute(&self, rows: &mut Self::F, x: &Self::F, plan: &DispatchPlan<Self>, t: usize, k: usize, d: usize) -> Result<()>;
    /// Adds into `out` (T, D): `out[t] += sum_k rows[row_of_slot[t*K + k]]`, k ascending. Also the backward of `permute`.
    fn combine(&self, out: &mut Self::F, rows: &Self::F, plan: &DispatchPlan<Self>, t: usize, k: usize, d: usize) -> Result<()>;

    // --- grouped_linear ---

    /// Overwrites `out` (N, O): row r of expert e is `w[e] x[r]`; `x` (N, I), `w` (E, O, I), `offsets` (E+1).
    fn grouped_linear_forward(
        &self,
        out: &mut Self::F,
        x: &Self::F,
        w: &Self::F,
        offsets: &Self::I,
        e: usize,
        o: usize,
        i: usize,
    ) -> Result<()>;
    /// Overwrites `d_x` (N, I) with `d_out[r] w[e]`.
    fn grouped_linear_backward_input(
        &self,
        d_x: &mut Self::F,
        d_out: &Self::F,
        w: &Self::F,
        offsets: &Self::I,
        e: usize,
        o: usize,
        i: usize,
    ) -> Result<()>;
    /// Adds `d_out[rows of e]^T x[rows of e]` into `d_w[e]` (E, O, I).
    fn grouped_linear_backward_weight(
        &self,
        d_w: &mut Self::F,
        d_out: &Self::F,
        x: &Self::F,
        offsets: &Self::I,
        e: usize,
        o: usize,
        i: usize,
    ) -> Result<()>;

    // --- swiglu ---

    /// Overwrites `act` (N, F): `combine_weight * silu(gate) * up`, where `gate_up` (N, 2F) holds gate then up and the weight of row r is
    /// `combine_weights[slot_of_row[r]]`.
    fn swiglu_forward(
        &self,
        act: &mut Self::F,
        gate_up: &Self::F,
        combine_weights: &Self::F,
        plan: &DispatchPlan<Self>,
        n: usize,
        f: usize,
    ) -> Result<()>;
    /// In place, since what goes in is as large as what comes out and is needed no more. Of `d_act` (N, F), the gradient `W_down^T d_out`
    /// of the weighted activation before the combine weight, it makes that activation; of `gate_up` (N, 2F) its gradient. Overwrites
    /// `d_combine_weights` (T, K) with `<d_act[r], silu(gate) * up>`.
    fn swiglu_backward(
        &self,
        d_act: &mut Self::F,
        gate_up: &mut Self::F,
        d_combine_weights: &mut Self::F,
        combine_weights: &Self::F,
        plan: &DispatchPlan<Self>,
        n: usize,
        f: usize,
    ) -> Result<()>;

    // --- cross_entropy ---

    /// Head and next-token cross-entropy in chunks of rows; (T, V) logits never exist. Overwrites `losses` (T) with `-ln softmax(h w^T)[target]`,
    /// 0 where `targets` (T) is negative. `h` (T, D), `w` (V, D).
    fn cross_entropy_forward(
        &self,
        losses: &mut Self::F,
        h: &Self::F,
        w: &Self::F,
        targets: &Self::I,
        t: usize,
        v: usize,
        d: usize,
    ) -> Result<()>;
    /// The same, with gradients of `grad_scale * sum(losses)`: overwrites `losses` (T) and `d_h` (T, D), adds into `d_w` (V, D).
    fn cross_entropy_forward_backward(
        &self,
        losses: &mut Self::F,
        d_h: &mut Self::F,
        d_w: &mut Self::F,
        h: &Self::F,
        w: &Self::F,
        targets: &Self::I,
        grad_scale: f32,
        t: usize,
        v: usize,
        d: usize,
    ) -> Result<()>;

    // --- optimizers ---

    /// AdamW with decoupled decay: per parameter `w *= 1 - lr*wd`, then the bias-corrected update. Updates `w`, `m`, `v`; reads `g`.
    fn adamw_step(&self, updates: &mut [AdamwUpdate<'_, Self>], step: AdamwStep) -> Result<()>;
    /// Muon on each matrix on its own: `m = mu m + (1-mu) g`, `u = (1-mu) g + mu m`, `X` = `u` orthogonalised by Newton-Schulz,
    /// `w *= 1 - lr*wd`, `w -= lr sqrt(max(1, rows/cols)) X`. Updates `w`, `m`; reads `g`.
    fn muon_step(&self, updates: &mut [MuonUpdate<'_, Self>], step: MuonStep) -> Result<()>;
}
