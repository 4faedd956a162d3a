//! Speed of what the C border does not reach alone. `speed ops MODEL` times every operation at the sizes of a model by
//! criterion, whose files stand in CRITERION_HOME; `speed batches REQUEST` times the way of prepared tokens to batches,
//! `speed stream REQUEST` a stream of a mixture; `speed steps PLAN N` takes N steps with one thread. The latter three print
//! a JSON line for `deno task bench`.

mod batches;
mod moe;
mod ops;
mod sizes;
mod steps;
mod streams;
mod timing;

use std::process::ExitCode;

fn main() -> ExitCode {
    // cargo bench adds an option of its own
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ops", model] => match sizes::MODELS.iter().find(|sizes| sizes.model == model) {
            Some(sizes) => ops::run(sizes),
            None => Err(format!("Cannot time the ops of {model}: no such sizes").into()),
        },
        ["batches", request] => batches::run(request),
        ["stream", request] => streams::run(request),
        ["steps", plan, count] => steps::run(plan, count),
        _ => Err("Cannot tell what to time: wanted \"ops MODEL\", \"batches REQUEST\", \"stream REQUEST\" or \"steps PLAN N\"".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
