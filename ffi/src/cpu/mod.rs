//! The CPU backend: f32, multithreaded by pieces that depend on shapes alone, one file per op. Here: the pool of threads and
//! the one-line calls from the op list into the files.

mod adamw;
mod attention;
mod clamp;
mod cross_entropy;
mod dispatch;
mod elementwise;
mod embedding;
mod gemm;
mod grouped_linear;
mod linear;
mod math;
mod muon;
pub mod probe;
mod rmsnorm;
mod rope;
mod router;
mod scratch;
mod swiglu;
pub mod working;

use crate::backend::{
    AdamwStep, AdamwUpdate, AttentionDims, Backend, DispatchPlan, Memory, MuonStep, MuonUpdate, RouterLoss, RouterRule, RouterStats,
    Routing, TableRows,
};
use crate::error::{Error, Result};

type F = Vec<f32>;
type I = Vec<i32>;

/// The CPU: buffers are vectors, work runs on an own pool of threads.
pub struct Cpu {
    pool: rayon::ThreadPool,
    rope: rope::Tables,
    scratch: scratch::Shared,
}

impl Cpu {
    /// A backend with `threads` threads; 0 takes one per core.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("bowline-{i}"))
            .build()
            .map_err(|error| Error::Internal(format!("Cannot start {threads} threads: {error}")))?;
        Ok(Cpu { pool, rope: rope::Tables::default(), scratch: scratch::Shared::default() })
    }

    /// Number of threads of the pool.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `work` on the pool. Ops called from within start without the hand-over between threads that each would pay alone.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Runs an op that cannot fail.
    fn run(&self, op: impl FnOnce() + Send) -> Result<()> {
        self.pool.install(op);
        Ok(())
    }
}

/// Rows of one task where the work per row is a few passes over `width` elements: about 8192 elements, a function of the shape alone.
fn row_block(width: usize) -> usize {
    (8192 / width.max(1)).max(1)
}

impl Memory for Cpu {
    type F = F;
    type I = I;

    fn zeros(&self, len: usize) -> Result<F> {
        Ok(vec![0.0; len])
    }
    fn zeros_i32(&self, len: usize) -> Result<I> {
        Ok(vec![0; len])
    }
    fn upload(&self, dst: &mut F, src: &[f32]) -> Result<()> {
        dst[..src.len()].copy_from_slice(src);
        Ok(())
    }
    fn upload_i32(&self, dst: &mut I, src: &[i32]) -> Result<()> {
        dst[..src.len()].copy_from_slice(src);
        Ok(())
    }
    fn download(&self, dst: &mut [f32], src: &F) -> Result<()> {
        dst.copy_from_slice(&src[..dst.len()]);
        Ok(())
    }
    fn download_i32(&self, dst: &mut [i32], src: &I) -> Result<()> {
        dst.copy_from_slice(&src[..dst.len()]);
        Ok(())
    }

    fn host<'a>(&self, x: &'a F) -> Option<&'a [f32]> {
        Some(x)
    }
    fn host_mut<'a>(&self, x: &'a mut F) -> Option<&'a mut [f32]> {
        Some(x)
    }
}

impl Backend for Cpu {
    fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        Cpu::install(self, work)
    }
    fn lanes(&self) -> Result<Vec<Cpu>> {
        (0..self.threads()).map(|_| Cpu::new(1)).collect()
    }

    // --- elementwise ---

    fn fill(&self, out: &mut F, value: f32, n: usize) -> Result<()> {
        self.run(|| elementwise::fill(&mut out[..n], value))
    }
    fn copy(&self, out: &mut F, x: &F, n: usize) -> Result<()> {
        self.run(|| elementwise::copy(&mut out[..n], &x[..n]))
    }
    fn add(&self, out: &mut F, x: &F, n: usize) -> Result<()> {
        self.run(|| elementwise::add(&mut out[..n], &x[..n]))
    }
    fn sum_squares(&self, x: &F, at: usize, n: usize) -> Result<f64> {
        Ok(self.install(|| elementwise::sum_squares(&x[at..at + n])))
    }
    fn takes_rows(&self) -> bool {
        true
    }
    fn sum_squares_of_rows(&self, table: TableRows<'_, Self>) -> Result<f64> {
        Ok(self.install(|| elementwise::sum_squares_of_rows(table.rows, table.row_of_id, table.d)))
    }

    // --- embedding ---

    fn embedding_forward(&self, out: &mut F, table: &F, tokens: &I, t: usize, v: usize, d: usize) -> Result<()> {
        self.install(|| embedding::forward(&mut out[..t * d], table, &tokens[..t], v, d))
    }
    fn embedding_backward(&self, d_table: &mut F, d_out: &F, tokens: &I, t: usize, v: usize, d: usize) -> Result<()> {
        self.run(|| embedding::backward(&mut d_table[..v * d], &d_out[..t * d], &tokens[..t], v, d))
    }

    // --- rmsnorm ---

    fn rmsnorm_forward(&self, out: &mut F, x: &F, w: &F, rows: usize, d: usize, eps: f32) -> Result<()> {
        self.run(|| rmsnorm::forward(&mut out[..rows * d], &x[..rows * d], &w[..d], d, eps))
    }
    fn rmsnorm_backward(&self, d_x: &mut F, d_w: &mut F, x: &F, w: &F, d_out: &F, rows: usize, d: usize, eps: f32) -> Result<()> {
        let n = rows * d;
        self.run(|| rmsnorm::backward(&mut d_x[..n], &mut d_w[..d], &x[..n], &w[..d], &d_out[..n], d, eps))
    }

    // --- linear ---

    fn linear_forward(&self, out: &mut F, x: &F, w: &F, rows: usize, o: usize, i: usize) -> Result<()> {
        self.run(|| linear::forward(out, x, w, rows, o, i))
    }
    fn linear_backward_input(&self, d_x: &mut F, d_out: &F, w: &F, rows: usize, o: usize, i: usize) -> Result<()> {
        self.run(|| linear::backward_input(d_x, d_out, w, rows, o, i))
    }
    fn linear_backward_weight(&self, d_w: &mut F, d_out: &F, x: &F, rows: usize, o: usize, i: usize) -> Result<()> {
        self.run(|| linear::backward_weight(&self.scratch, d_w, d_out, x, rows, o, i))
    }

    // --- clamp ---

    fn clamp_forward(&self, x: &mut F, limit: f32, n: usize) -> Result<()> {
        self.run(|| clamp::forward(&mut x[..n], limit))
    }
    fn clamp_backward(&self, d_x: &mut F, x: &F, limit: f32, n: usize) -> Result<()> {
        self.run(|| clamp::backward(&mut d_x[..n], &x[..n], limit))
    }

    // --- rope ---

    fn rope_forward(&self, x: &mut F, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32) -> Result<()> {
        let x = &mut x[..batch * seq * heads * p];
        self.run(|| rope::rotate(&self.rope, x, rope::Direction::Forward, start, seq, heads, p, theta))
    }
    fn rope_backward(&self, d_x: &mut F, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32) -> Result<()> {
        let d_x = &mut d_x[..batch * seq * heads * p];
        self.run(|| rope::rotate(&self.rope, d_x, rope::Direction::Backward, start, seq, heads, p, theta))
    }

    // --- attention ---

    fn attention_forward(&self, out: &mut F, lse: &mut F, q: &F, k: &F, v: &F, dims: AttentionDims) -> Result<()> {
        self.run(|| attention::forward(out, lse, q, k, v, dims))
    }
    fn attention_backward(
        &self,
        d_q: &mut F,
        d_k: &mut F,
        d_v: &mut F,
        out: &F,
        lse: &F,
        q: &F,
        k: &F,
        v: &F,
        d_out: &F,
        dims: AttentionDims,
    ) -> Result<()> {
        self.run(|| attention::backward(&self.scratch, d_q, d_k, d_v, attention::Saved { out, lse, q, k, v, d_out }, dims))
    }
    fn attention_cached(
        &self,
        out: &mut F,
        k_cache: &mut F,
        v_cache: &mut F,
        q: &F,
        k: &F,
        v: &F,
        start: usize,
        dims: AttentionDims,
    ) -> Result<()> {
        self.run(|| attention::cached(out, k_cache, v_cache, q, k, v, start, dims))
    }

    // --- router ---

    fn router_forward(&self, routing: &mut Routing<Self>, logits: &F, t: usize, rule: RouterRule) -> Result<RouterStats> {
        self.install(|| router::forward(routing, &logits[..t * rule.experts], t, rule))
    }
    fn router_backward(
        &self,
        d_logits: &mut F,
        routing: &Routing<Self>,
        stats: &RouterStats,
        d_combine_weights: &F,
        t: usize,
        rule: RouterRule,
        loss: RouterLoss,
    ) -> Result<()> {
        let d_logits = &mut d_logits[..t * rule.experts];
        self.run(|| router::backward(d_logits, routing, stats, &d_combine_weights[..t * rule.top_k], t, rule, loss))
    }

    // --- dispatch ---

    fn dispatch_plan(&self, plan: &mut DispatchPlan<Self>, expert_ids: &I, t: usize, k: usize, e: usize) -> Result<()> {
        dispatch::plan(plan, &expert_ids[..t * k], e);
        Ok(())
    }
    fn permute(&self, rows: &mut F, x: &F, plan: &DispatchPlan<Self>, t: usize, k: usize, d: usize) -> Result<()> {
        self.run(|| dispatch::permute(&mut rows[..t * k * d], x, &plan.slot_of_row[..t * k], k, d))
    }
    fn combine(&self, out: &mut F, rows: &F, plan: &DispatchPlan<Self>, t: usize, k: usize, d: usize) -> Result<()> {
        self.run(|| dispatch::combine(&mut out[..t * d], rows, &plan.row_of_slot[..t * k], k, d))
    }

    // --- grouped_linear ---

    fn grouped_linear_forward(&self, out: &mut F, x: &F, w: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
        self.run(|| grouped_linear::forward(out, x, w, &offsets[..e + 1], o, i))
    }
    fn grouped_linear_backward_input(&self, d_x: &mut F, d_out: &F, w: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
        self.run(|| grouped_linear::backward_input(d_x, d_out, w, &offsets[..e + 1], o, i))
    }
    fn grouped_linear_backward_weight(&self, d_w: &mut F, d_out: &F, x: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
        self.run(|| grouped_linear::backward_weight(d_w, d_out, x, &offsets[..e + 1], o, i))
    }

    // --- swiglu ---

    fn swiglu_forward(&self, act: &mut F, gate_up: &F, combine_weights: &F, plan: &DispatchPlan<Self>, n: usize, f: usize) -> Result<()> {
        self.run(|| swiglu::forward(&mut act[..n * f], &gate_up[..n * 2 * f], combine_weights, &plan.slot_of_row[..n], f))
    }
    fn swiglu_backward(
        &self,
        d_act: &mut F,
        gate_up: &mut F,
        d_combine_weights: &mut F,
        combine_weights: &F,
        plan: &DispatchPlan<Self>,
        n: usize,
        f: usize,
    ) -> Result<()> {
        let (d_act, gate_up, d_combine_weights) = (&mut d_act[..n * f], &mut gate_up[..n * 2 * f], &mut d_combine_weights[..n]);
        let (slots, rows) = (&plan.slot_of_row[..n], &plan.row_of_slot[..n]);
        self.run(|| swiglu::backward(d_act, gate_up, d_combine_weights, combine_weights, slots, rows, f))
    }

    // --- cross_entropy ---

    fn cross_entropy_forward(&self, losses: &mut F, h: &F, w: &F, targets: &I, t: usize, v: usize, d: usize) -> Result<()> {
        self.install(|| cross_entropy::forward(&mut losses[..t], &h[..t * d], &w[..v * d], &targets[..t], v, d))
    }
    fn cross_entropy_forward_backward(
        &self,
        losses: &mut F,
        d_h: &mut F,
        d_w: &mut F,
        h: &F,
        w: &F,
        targets: &I,
        grad_scale: f32,
        t: usize,
        v: usize,
        d: usize,
    ) -> Result<()> {
        let (losses, d_h, d_w) = (&mut losses[..t], &mut d_h[..t * d], &mut d_w[..v * d]);
        self.install(|| {
            cross_entropy::forward_backward(&self.scratch, losses, d_h, d_w, &h[..t * d], &w[..v * d], &targets[..t], grad_scale, v, d)
        })
    }

    // --- optimizers ---

    fn adamw_step(&self, updates: &mut [AdamwUpdate<'_, Self>], step: AdamwStep) -> Result<()> {
        self.run(|| adamw::step(updates, step))
    }
    fn muon_step(&self, updates: &mut [MuonUpdate<'_, Self>], step: MuonStep) -> Result<()> {
        self.run(|| muon::step(updates, step))
    }
}
