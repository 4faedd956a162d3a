//! Speed of a stream with one thread that tokenises, from its start on, and of going on from places all along it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bowline::data::{Stream, StreamState, Watch, open_stream};
use bowline::files::sha256_hex;
use bowline::plan::Plan;
use serde::Deserialize;
use serde_json::json;

use super::timing::Outcome;

/// Micro-batches that the checksum is of.
const NUM_CHECKED: usize = 64;
/// Places to go on from; the time between them is the same.
const NUM_PLACES: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// JSON of a plan with `data.sources`.
    plan: String,
    cache_dir: PathBuf,
    seconds: f64,
}

/// A place and the micro-batch behind it.
struct Place {
    state: StreamState,
    next: Vec<i32>,
}

pub fn run(request: &str) -> Outcome {
    let Request { plan, cache_dir, seconds } = serde_json::from_str(request)?;
    let plan = Plan::parse(&plan)?;
    let cancel = Arc::default();
    let watch = Watch::new(&|_| (), &cancel);
    let open = || open_stream(&plan, &cache_dir, &BTreeMap::new(), 1, 0, 1, &watch).map(|(stream, _)| stream);
    let mut batch = vec![0; plan.train.batch * (plan.train.seq_len + 1)];
    let mut step = |stream: &mut Stream| -> bowline::error::Result<Vec<i32>> {
        stream.peek(0, &mut batch, &watch)?;
        stream.advance(1);
        Ok(batch.clone())
    };

    let (mut places, mut checked, mut count) = (Vec::new(), Vec::new(), 0);
    let mut stream = open()?;
    let start = Instant::now();
    loop {
        let elapsed = start.elapsed().as_secs_f64();
        if count >= NUM_CHECKED && elapsed >= seconds && places.len() == NUM_PLACES {
            break;
        }
        let is_place = places.len() < NUM_PLACES && elapsed >= seconds * places.len() as f64 / NUM_PLACES as f64;
        let state = is_place.then(|| stream.state());
        let next = step(&mut stream)?;
        if count < NUM_CHECKED {
            checked.extend_from_slice(&next);
        }
        count += 1;
        places.extend(state.map(|state| Place { state, next }));
    }
    let tokens_per_s = (count * checked.len() / NUM_CHECKED) as f64 / start.elapsed().as_secs_f64();
    drop(stream);

    let mut resume_ms = 0.0_f64;
    for Place { state, next } in places {
        let start = Instant::now();
        let mut stream = open()?;
        stream.restore(&state, Path::new("the benchmark's checkpoint"))?;
        let resumed = step(&mut stream)?;
        resume_ms = resume_ms.max(start.elapsed().as_secs_f64() * 1e3);
        if resumed != next {
            return Err(format!("Cannot report the stream: after window {} other tokens come than before", state.windows).into());
        }
    }

    let checksum = sha256_hex(bytemuck::cast_slice(&checked));
    println!("{}", json!({ "tokens_per_s": tokens_per_s, "resume_ms": resume_ms, "checksum": checksum }));
    Ok(())
}
