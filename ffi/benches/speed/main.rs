//! Speed of what the C border does not reach alone: `speed ops` times every operation at the sizes of two models, and
//! `speed batches REQUEST` the way of prepared tokens to batches, `speed stream REQUEST` a stream of a mixture. Prints JSON
//! lines for `deno task bench`.

mod batches;
mod moe;
mod ops;
mod sizes;
mod streams;
mod timing;

use std::process::ExitCode;

fn main() -> ExitCode {
    // cargo bench adds an option of its own
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ops"] => sizes::MODELS.iter().try_for_each(ops::run),
        ["batches", request] => batches::run(request),
        ["stream", request] => streams::run(request),
        _ => Err("Cannot tell what to time: wanted \"ops\", \"batches REQUEST\" or \"stream REQUEST\"".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
