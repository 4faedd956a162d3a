//! Every op of the backend against a plain f64 reference written beside its cases, one file per op. The cases are generic over the
//! backend. Each one runs with outputs filled beforehand (overwrite or add), with guard zones behind every buffer, and
//! with 1, 2 and 3 threads (equal bits); `driver::check` does all of it, on the CPU and on the emulated GPU.

mod common;
mod driver;
mod emulator;

mod adamw;
mod attention;
mod attention_bf16;
mod clamp;
mod cross_entropy;
mod dispatch;
mod elementwise;
mod embedding;
mod grouped_linear;
mod linear;
mod muon;
mod rmsnorm;
mod rope;
mod router;
mod swiglu;
