//! The CUDA backend: a GPU, or the emulator of one, through the kernel library; one file per op, as in `cpu`. Here: the device
//! and the one-line calls from the op list into the files.

mod adamw;
mod attention;
mod buffer;
mod clamp;
mod comm;
mod cross_entropy;
mod dispatch;
mod elementwise;
mod embedding;
mod grouped_linear;
mod library;
mod linear;
mod muon;
mod rmsnorm;
mod rope;
mod router;
mod swiglu;
pub mod working;

use std::path::PathBuf;
use std::sync::Arc;

use buffer::Buffer;
use library::{Device, Out};
use serde::{Deserialize, Serialize};

use crate::backend::{
    AdamwStep, AdamwUpdate, AttentionDims, Backend, DispatchPlan, Memory, MuonStep, MuonUpdate, RouterLoss, RouterRule, RouterStats,
    Routing,
};
use crate::error::Result;

type F = Buffer<f32>;
type I = Buffer<i32>;

/// What the kernel library was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gpu,
    /// The same kernels, run by the processor.
    Emulated,
}

impl Kind {
    /// Name of the library's file.
    pub fn file(self) -> &'static str {
        match self {
            Kind::Gpu => "libbowline_cuda.so",
            Kind::Emulated => "libbowline_cuda_emulated.so",
        }
    }

    /// How to get it.
    fn remedy(self) -> &'static str {
        match self {
            Kind::Gpu => "run \"deno task build:cuda\"",
            Kind::Emulated => "run \"deno task build:emulated\"",
        }
    }
}

/// How products of matrices are computed; sums, weights and all that is kept are f32 in either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
    /// Factors are rounded to bf16, for tensor cores.
    Bf16,
}

/// A GPU, or the emulator of one.
pub struct Cuda {
    device: Arc<Device>,
}

/// What a device says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    pub name: String,
    /// Bytes of memory.
    pub total: u64,
    pub free: u64,
    /// The newest CUDA that the driver knows, such as `13.0`.
    pub driver: String,
}

impl Cuda {
    /// Opens the first device. The library is what the environment variable `BOWLINE_KERNELS` names, else it is looked for in `folders`.
    pub fn open(kind: Kind, precision: Precision, folders: &[PathBuf]) -> Result<Self> {
        Self::open_local(kind, precision, folders, 0)
    }

    /// The same for one of several processes of a machine: it takes the device of its number `local_rank` there, counting on from the
    /// first again after the last.
    pub fn open_local(kind: Kind, precision: Precision, folders: &[PathBuf], local_rank: usize) -> Result<Self> {
        let path = library::find(kind.file(), folders, kind.remedy())?;
        let device = Device::open(&path, local_rank)?;
        device.set_precision(match precision {
            Precision::F32 => 0,  // BOWLINE_F32
            Precision::Bf16 => 1, // BOWLINE_BF16
        })?;
        Ok(Cuda { device: Arc::new(device) })
    }

    pub fn info(&self) -> Result<DeviceInfo> {
        const NAME_BYTES: usize = 256;
        let (mut name, mut total, mut free, mut driver) = ([0; NAME_BYTES], [0], [0], [0]);
        let [total_out, free_out] = [&mut total, &mut free].map(|x| Out::host(x));
        self.device.info(Out::host(&mut name), NAME_BYTES, total_out, free_out, Out::host(&mut driver))?;
        let driver = format!("{}.{}", driver[0] / 1000, driver[0] % 1000 / 10);
        Ok(DeviceInfo { name: library::until_zero(&name), total: total[0], free: free[0], driver })
    }

    /// Bytes that are allocated: by all buffers, and as working memory of the kernel library.
    pub fn held(&self) -> Result<[u64; 2]> {
        self.device.held()
    }
}

impl Memory for Cuda {
    type F = F;
    type I = I;

    fn zeros(&self, len: usize) -> Result<F> {
        F::zeros(&self.device, len)
    }
    fn zeros_i32(&self, len: usize) -> Result<I> {
        I::zeros(&self.device, len)
    }
    fn upload(&self, dst: &mut F, src: &[f32]) -> Result<()> {
        dst.upload(src)
    }
    fn upload_i32(&self, dst: &mut I, src: &[i32]) -> Result<()> {
        dst.upload(src)
    }
    fn download(&self, dst: &mut [f32], src: &F) -> Result<()> {
        src.download(dst)
    }
    fn download_i32(&self, dst: &mut [i32], src: &I) -> Result<()> {
        src.download(dst)
    }

    fn host<'a>(&self, _: &'a F) -> Option<&'a [f32]> {
        None
    }
    fn host_mut<'a>(&self, _: &'a mut F) -> Option<&'a mut [f32]> {
        None
    }
}

impl Backend for Cuda {
    fn lanes(&self) -> Result<Vec<Cuda>> {
        Ok(vec![Cuda { device: self.device.clone() }])
    }

    // --- elementwise ---

    fn fill(&self, out: &mut F, value: f32, n: usize) -> Result<()> {
        elementwise::fill(self, out, value, n)
    }
    fn copy(&self, out: &mut F, x: &F, n: usize) -> Result<()> {
        elementwise::copy(self, out, x, n)
    }
    fn add(&self, out: &mut F, x: &F, n: usize) -> Result<()> {
        elementwise::add(self, out, x, n)
    }
    fn sum_squares(&self, x: &F, at: usize, n: usize) -> Result<f64> {
        elementwise::sum_squares(self, x, at, n)
    }

    // --- embedding ---

    fn embedding_forward(&self, out: &mut F, table: &F, tokens: &I, t: usize, v: usize, d: usize) -> Result<()> {
        embedding::forward(self, out, table, tokens, t, v, d)
    }
    fn embedding_backward(&self, d_table: &mut F, d_out: &F, tokens: &I, t: usize, v: usize, d: usize) -> Result<()> {
        embedding::backward(self, d_table, d_out, tokens, t, v, d)
    }

    // --- rmsnorm ---

    fn rmsnorm_forward(&self, out: &mut F, x: &F, w: &F, rows: usize, d: usize, eps: f32) -> Result<()> {
        rmsnorm::forward(self, out, x, w, rows, d, eps)
    }
    fn rmsnorm_backward(&self, d_x: &mut F, d_w: &mut F, x: &F, w: &F, d_out: &F, rows: usize, d: usize, eps: f32) -> Result<()> {
        rmsnorm::backward(self, d_x, d_w, x, w, d_out, rows, d, eps)
    }

    // --- linear ---

    fn linear_forward(&self, out: &mut F, x: &F, w: &F, rows: usize, o: usize, i: usize) -> Result<()> {
        linear::forward(self, out, x, w, rows, o, i, false)
    }
    fn linear_backward_input(&self, d_x: &mut F, d_out: &F, w: &F, rows: usize, o: usize, i: usize) -> Result<()> {
        linear::backward_input(self, d_x, d_out, w, rows, o, i, false)
    }
    fn linear_backward_weight(&self, d_w: &mut F, d_out: &F, x: &F, rows: usize, o: usize, i: usize) -> Result<()> {
        linear::backward_weight(self, d_w, d_out, x, rows, o, i, false)
    }
    fn router_linear_forward(&self, out: &mut F, x: &F, w: &F, rows: usize, o: usize, i: usize) -> Result<()> {
        linear::forward(self, out, x, w, rows, o, i, true)
    }
    fn router_linear_backward_input(&self, d_x: &mut F, d_out: &F, w: &F, rows: usize, o: usize, i: usize) -> Result<()> {
        linear::backward_input(self, d_x, d_out, w, rows, o, i, true)
    }
    fn router_linear_backward_weight(&self, d_w: &mut F, d_out: &F, x: &F, rows: usize, o: usize, i: usize) -> Result<()> {
        linear::backward_weight(self, d_w, d_out, x, rows, o, i, true)
    }

    // --- clamp ---

    fn clamp_forward(&self, x: &mut F, limit: f32, n: usize) -> Result<()> {
        clamp::forward(self, x, limit, n)
    }
    fn clamp_backward(&self, d_x: &mut F, x: &F, limit: f32, n: usize) -> Result<()> {
        clamp::backward(self, d_x, x, limit, n)
    }

    // --- rope ---

    fn rope_forward(&self, x: &mut F, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32) -> Result<()> {
        rope::forward(self, x, start, batch, seq, heads, p, theta)
    }
    fn rope_backward(&self, d_x: &mut F, start: usize, batch: usize, seq: usize, heads: usize, p: usize, theta: f32) -> Result<()> {
        rope::backward(self, d_x, start, batch, seq, heads, p, theta)
    }

    // --- attention ---

    fn attention_forward(&self, out: &mut F, lse: &mut F, q: &F, k: &F, v: &F, dims: AttentionDims) -> Result<()> {
        attention::forward(self, out, lse, q, k, v, dims)
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
        attention::backward(self, d_q, d_k, d_v, attention::Saved { out, lse, q, k, v, d_out }, dims)
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
        attention::cached(self, out, [k_cache, v_cache], q, k, v, start, dims)
    }

    // --- router ---

    fn router_forward(&self, routing: &mut Routing<Self>, logits: &F, t: usize, rule: RouterRule) -> Result<RouterStats> {
        router::forward(self, routing, logits, t, rule)
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
        router::backward(self, d_logits, routing, stats, d_combine_weights, t, rule, loss)
    }

    // --- dispatch ---

    fn dispatch_plan(&self, plan: &mut DispatchPlan<Self>, expert_ids: &I, t: usize, k: usize, e: usize) -> Result<()> {
        dispatch::plan(self, plan, expert_ids, t * k, e)
    }
    fn permute(&self, rows: &mut F, x: &F, plan: &DispatchPlan<Self>, t: usize, k: usize, d: usize) -> Result<()> {
        dispatch::permute(self, rows, x, plan, t, k, d)
    }
    fn combine(&self, out: &mut F, rows: &F, plan: &DispatchPlan<Self>, t: usize, k: usize, d: usize) -> Result<()> {
        dispatch::combine(self, out, rows, plan, t, k, d)
    }

    // --- grouped_linear ---

    fn grouped_linear_forward(&self, out: &mut F, x: &F, w: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
        grouped_linear::forward(self, out, x, w, offsets, e, o, i)
    }
    fn grouped_linear_backward_input(&self, d_x: &mut F, d_out: &F, w: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
        grouped_linear::backward_input(self, d_x, d_out, w, offsets, e, o, i)
    }
    fn grouped_linear_backward_weight(&self, d_w: &mut F, d_out: &F, x: &F, offsets: &I, e: usize, o: usize, i: usize) -> Result<()> {
        grouped_linear::backward_weight(self, d_w, d_out, x, offsets, e, o, i)
    }

    // --- swiglu ---

    fn swiglu_forward(&self, act: &mut F, gate_up: &F, combine_weights: &F, plan: &DispatchPlan<Self>, n: usize, f: usize) -> Result<()> {
        swiglu::forward(self, act, gate_up, combine_weights, plan, n, f)
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
        swiglu::backward(self, d_act, gate_up, d_combine_weights, combine_weights, plan, n, f)
    }

    // --- cross_entropy ---

    fn cross_entropy_forward(&self, losses: &mut F, h: &F, w: &F, targets: &I, t: usize, v: usize, d: usize) -> Result<()> {
        cross_entropy::forward(self, losses, h, w, targets, t, v, d)
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
        cross_entropy::forward_backward(self, losses, d_h, d_w, h, w, targets, grad_scale, t, v, d)
    }

    // --- optimizers ---

    fn adamw_step(&self, updates: &mut [AdamwUpdate<'_, Self>], step: AdamwStep) -> Result<()> {
        adamw::step(self, updates, step)
    }
    fn muon_step(&self, updates: &mut [MuonUpdate<'_, Self>], step: MuonStep) -> Result<()> {
        muon::step(self, updates, step)
    }
}
