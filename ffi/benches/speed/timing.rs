//! How an operation is timed: by criterion, whose files in CRITERION_HOME are what `deno task bench` reads.

use std::time::Duration;

use bowline::error::Result;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};

/// Failures of a benchmark, whatever they are.
pub type Outcome<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Samples of an operation, the fewest that criterion takes: rounds bring more.
const SAMPLES: usize = 10;
/// A sample is at least one call, so that a long operation takes longer.
const WARM_UP: Duration = Duration::from_millis(30);
const MEASUREMENT: Duration = Duration::from_millis(150);

/// What bounds a call: nominal floating-point operations, or floats of its operands, each counted once.
pub enum Work {
    Flops(usize),
    Floats(usize),
}

/// Times the operations of one model.
pub struct Timer<'a>(BenchmarkGroup<'a, WallTime>);

impl Timer<'_> {
    /// Times the calls of an op and has criterion write down how long they took and what work they did.
    pub fn time(&mut self, op: &str, shape: String, work: Work, mut call: impl FnMut() -> Result<()>) -> Outcome {
        call()?; // a mistake ends the benchmark with its error, not with a panic
        self.0.throughput(match work {
            Work::Flops(count) => Throughput::Elements(count as u64),
            Work::Floats(count) => Throughput::Bytes(4 * count as u64),
        });
        self.0.bench_function(BenchmarkId::new(op, shape), |b| b.iter(|| call().expect("the first call worked")));
        Ok(())
    }
}

/// Calls `ops` with a timer for a model.
pub fn with_timer(model: &str, ops: impl FnOnce(&mut Timer) -> Outcome) -> Outcome {
    // The bootstrap is for intervals, which are not reported: as few resamples as criterion allows without complaint.
    let mut criterion = Criterion::default().without_plots().nresamples(1001);
    let mut group = criterion.benchmark_group(model);
    group.sample_size(SAMPLES).sampling_mode(SamplingMode::Flat).warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
    ops(&mut Timer(group))
}
